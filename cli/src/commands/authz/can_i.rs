//! `meshctl authz can-i`: the verdict on one request, the policy that decides, and every rule that was tried.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use anyhow::Context as _;
use mesh_core::authz::{Guard, Workload};
use mesh_ir::Transport;
use mesh_ir::evaluate::{
    Action, Ask, ConnectionFacts, Explanation, Granted, HttpPolicy, NetworkPolicy, Rejection,
    Request, RuleId, Server, Stage, Step, StepOutcome, Verdict, evaluate,
};
use mesh_ir::policy::RequestAuthentication;
use mesh_ir::{HttpFilter, NetworkFilter};
use mesh_token::{TokenCache, TokenVerifier};
use serde::Serialize;

use super::question::{Client, Target};
use crate::asked::Asked;
use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::gather::{Sources, World};
use crate::input;

/// Tell whether a request would be allowed, by which policy, and why other rules do not match
///
/// The client is taken for one with mutual TLS if --from names it, and else for one without an identity. Nothing is sent.
/// Exits with 1 if the request would be denied.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Method of the request
    #[arg(value_name = "METHOD")]
    method: String,
    /// What is asked for, by the name of a service: http://reviews.shop:9080/reviews/0
    #[arg(value_name = "URL")]
    url: String,
    /// Who asks; with .POD at the end the pod's address counts as well
    #[arg(long, value_name = "NAMESPACE/SERVICE_ACCOUNT[.POD]")]
    from: Option<String>,
    /// Address of the client
    #[arg(long, value_name = "ADDRESS")]
    from_ip: Option<IpAddr>,
    /// File with the token (JWT) that the request carries, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    as_token: Option<String>,
    /// A header of the request (repeatable)
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    #[command(flatten)]
    sources: Sources,
}

/// The verdict of one workload.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    workload: String,
    port: u16,
    allowed: bool,
    /// Status code of a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    reason: String,
    /// The policy that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// Where its rule is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    tried: Vec<Tried>,
}

/// A rule that was tried.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tried {
    stage: String,
    rule: String,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// What was decided about a request.
struct Decided {
    allowed: bool,
    code: Option<u16>,
    reason: String,
    rule: Option<RuleId>,
    steps: Vec<Step>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Table, Format::Json, Format::Yaml])?;
    let world = args.sources.read(context)?;
    let client = client(args, &world)?;
    let asked = Asked::parse(&args.method, &args.url, &args.header)?;
    let mut target = Target::of(asked, &world.namespace, &world.snapshot)?;
    add_token(args, &mut target)?;
    let mut answers = Vec::new();
    for (workload, port) in &target.workloads {
        answers.push(ask(&world, &client, &target, workload, *port)?);
    }
    match format {
        Format::Table => print(&answers, &target, context)?,
        format => context.printer.structured(format, &answers)?,
    }
    Ok(if answers.iter().all(|answer| answer.allowed) {
        Exit::Success
    } else {
        Exit::Failure
    })
}

fn client(args: &Args, world: &World) -> anyhow::Result<Client> {
    let mut client = match &args.from {
        Some(text) => Client::parse(text, &world.snapshot)?,
        None => Client {
            identity: None,
            address: None,
        },
    };
    client.address = args.from_ip.or(client.address);
    Ok(client)
}

fn add_token(args: &Args, target: &mut Target) -> anyhow::Result<()> {
    if let Some(file) = &args.as_token {
        let token = input::read(file)?.text;
        let value = format!("Bearer {}", token.trim());
        let values = target.request.headers.entry("authorization".to_owned());
        values.or_default().push(value);
    }
    Ok(())
}

/// Decides for one workload.
fn ask(
    world: &World,
    client: &Client,
    target: &Target,
    workload: &Workload,
    port: u16,
) -> anyhow::Result<Answer> {
    let guard = workload.guard(&world.snapshot, port).with_context(|| {
        format!(
            "failed to find port {port} of {}.{}",
            workload.name, workload.namespace
        )
    })?;
    let destination = workload.address.unwrap_or([0, 0, 0, 0].into());
    let connection = ConnectionFacts {
        peer: client.identity.as_ref(),
        transport: match client.identity {
            Some(_) => Transport::Tls,
            None => Transport::Plaintext,
        },
        ..ConnectionFacts::plaintext(
            SocketAddr::new(client.ip(), 0),
            SocketAddr::new(destination, port),
        )
    };
    let decided = match &guard {
        Guard::Http(server) => by_request(
            &connection,
            target,
            &server.filters,
            &HttpPolicy::new(server),
        ),
        Guard::Connections(filters) => by_connection(&connection, filters),
    };
    let rule = decided.rule.as_ref();
    Ok(Answer {
        workload: format!("{}.{}", workload.name, workload.namespace),
        port,
        allowed: decided.allowed,
        code: decided.code,
        reason: decided.reason,
        policy: rule.map(|rule| format!("{}/{}", rule.policy.namespace, rule.policy.name)),
        location: rule.and_then(|rule| world.place_of(&rule.origin())),
        tried: decided
            .steps
            .iter()
            .filter(|step| is_about_policies(step.stage))
            .map(|step| tried(world, step))
            .collect(),
    })
}

fn by_request(
    connection: &ConnectionFacts<'_>,
    target: &Target,
    filters: &[HttpFilter],
    policy: &HttpPolicy,
) -> Decided {
    let rules = filters.iter().flat_map(|filter| match filter {
        HttpFilter::Authenticate(tokens) => tokens.rules.as_slice(),
        _ => &[],
    });
    let rules = rules.cloned().collect();
    let verifier = TokenVerifier::new(&RequestAuthentication { rules });
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let checked = verifier.check(&target.request, now, &mut TokenCache::default());
    let server = Server {
        policy,
        routes: None,
    };
    let mut trace = Explanation::default();
    // Authorizers are taken to allow the request and to leave it as it is.
    let (mut granted, mut asked) = (Granted::default(), String::new());
    let decision = loop {
        let request = Request {
            connection,
            head: &target.request,
            tokens: checked.tokens(),
            edits: Some(&checked.edits),
            granted: Some(&granted),
        };
        let decision = evaluate(server, &request, &mut || 0, &mut trace);
        let Action::Ask(ask) = decision.action else {
            break decision;
        };
        asked += &is_asked(ask);
        granted.next_stage = ask.stage + 1;
    };
    let (allowed, code, reason, rule) = match decision.action {
        Action::Reject(rejection) => {
            let (reason, rule) = refused(rejection);
            (false, Some(rejection.code()), reason, rule)
        }
        _ => {
            let verdict = decision.authorized.map(|authorized| authorized.verdict);
            let (reason, rule) = allowed(verdict);
            (true, None, reason + &asked, rule)
        }
    };
    Decided {
        allowed,
        code,
        reason,
        rule,
        steps: trace.steps,
    }
}

fn by_connection(connection: &ConnectionFacts<'_>, filters: &[NetworkFilter]) -> Decided {
    let mut trace = Explanation::default();
    let policy = NetworkPolicy::of_filters(filters);
    let (mut first, mut asked) = (0, String::new());
    let decided = loop {
        let decided = policy.decide(connection, first, &mut trace);
        let Some(ask) = decided.ask else {
            break decided.authorized;
        };
        asked += &is_asked(ask);
        first = ask.stage + 1;
    };
    let verdict = decided.map(|decided| decided.verdict);
    let (allowed, reason, rule) = match verdict {
        Some(Verdict::Denied(rule)) => (false, denied(rule), rule.cloned()),
        verdict => {
            let (reason, rule) = allowed(verdict);
            (true, reason + &asked, rule)
        }
    };
    Decided {
        allowed,
        code: None,
        reason: format!(
            "{reason} (no HTTP is known to be spoken at the port: the connection counts)"
        ),
        rule,
        steps: trace.steps,
    }
}

fn is_asked(ask: Ask<'_>) -> String {
    let name = &ask.provider.name;
    format!("; the authorizer {name} is asked as well, which may deny it")
}

fn refused(rejection: Rejection<'_>) -> (String, Option<RuleId>) {
    match rejection {
        Rejection::Token(error) => (format!("the token is wrong: {}", error.message()), None),
        Rejection::Denied(Verdict::Denied(rule) | Verdict::Allowed(rule)) => {
            (denied(rule), rule.cloned())
        }
        Rejection::UnknownProvider(rule) => (
            "a CUSTOM policy matches whose provider the mesh does not know".to_owned(),
            Some(rule.clone()),
        ),
    }
}

fn denied(rule: Option<&RuleId>) -> String {
    match rule {
        Some(rule) => format!("rule {} of a DENY policy matches", rule.index),
        None => "there are ALLOW policies, and no rule of them matches".to_owned(),
    }
}

fn allowed(verdict: Option<Verdict<'_>>) -> (String, Option<RuleId>) {
    match verdict {
        Some(Verdict::Allowed(Some(rule))) => (
            format!("rule {} of an ALLOW policy matches", rule.index),
            Some(rule.clone()),
        ),
        Some(_) => (
            "no DENY policy matches, and there is no ALLOW policy".to_owned(),
            None,
        ),
        None => ("no policy is for this workload".to_owned(), None),
    }
}

fn is_about_policies(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::Authentication | Stage::ExternalAuthorization | Stage::Authorization
    )
}

fn tried(world: &World, step: &Step) -> Tried {
    Tried {
        stage: step.stage.to_string(),
        rule: step.subject.clone(),
        outcome: match &step.outcome {
            StepOutcome::Matched => "matches".to_owned(),
            StepOutcome::NotMatched(mismatch) => mismatch.to_string(),
            StepOutcome::Note(text) => text.clone(),
        },
        location: step
            .origin
            .as_ref()
            .and_then(|origin| world.place_of(origin)),
    }
}

fn print(answers: &[Answer], target: &Target, context: &Context) -> anyhow::Result<()> {
    // Workloads with the same answer are told once.
    let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for answer in answers {
        let same = |other: &&Answer| {
            (other.allowed, &other.reason, &other.policy, &other.tried)
                == (
                    answer.allowed,
                    &answer.reason,
                    &answer.policy,
                    &answer.tried,
                )
        };
        let first = answers.iter().position(|other| same(&other));
        let name = format!("{} port {}", answer.workload, answer.port);
        groups.entry(first.unwrap_or(0)).or_default().push(name);
    }
    for (first, names) in &groups {
        let Some(answer) = answers.get(*first) else {
            continue;
        };
        let verdict = match (answer.allowed, answer.code) {
            (true, _) => "allowed".to_owned(),
            (false, Some(code)) => format!("denied with {code}"),
            (false, None) => "denied, the connection is closed".to_owned(),
        };
        let mut text = format!(
            "{} http://{}{} at {}: {verdict}\n{}\n",
            target.request.method,
            target.request.authority,
            target.request.path,
            names.join(", "),
            answer.reason
        );
        if let (Some(policy), Some(location)) = (&answer.policy, &answer.location) {
            text.push_str(&format!("decided by {policy} ({location})\n"));
        }
        context.printer.data(&text)?;
        if !answer.tried.is_empty() {
            let rows: Vec<[String; 3]> = answer
                .tried
                .iter()
                .map(|tried| {
                    [
                        tried.rule.clone(),
                        tried.outcome.clone(),
                        tried.location.clone().unwrap_or_else(|| "-".to_owned()),
                    ]
                })
                .collect();
            context
                .printer
                .table(["TRIED", "OUTCOME", "WRITTEN AT"], &rows)?;
        }
    }
    Ok(())
}
