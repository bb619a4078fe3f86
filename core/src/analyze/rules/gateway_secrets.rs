//! Secrets of Gateways that are not there (IST0101) or hold no usable certificate (IST0161).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::gateway_selector::unselected;
use crate::analyze::context::Context;
use crate::analyze::{Rule, finding};
use crate::diag::{Diagnostic, FieldPath, Level};
use crate::model::Credential;
use crate::resource::{Kind, Object, ResourceKey};

pub(super) const RULE: Rule = Rule {
    name: "gateway.SecretAnalyzer",
    summary: "secrets of Gateways are there and hold certificates and keys",
    codes: &["IST0101", "IST0161"],
    check,
};

fn check(context: &Context<'_>, findings: &mut Vec<Diagnostic>) {
    for (resource, gateway) in context.gateways() {
        // A gateway reads the secrets of the namespace that its pods are in.
        let mut pods = context.pods().selected(&gateway.selector);
        let Some(namespace) = pods.next().map(|pod| pod.namespace) else {
            findings.push(unselected(resource, gateway));
            continue;
        };
        if !context.knows(Kind::Secret) {
            continue;
        }
        for (position, server) in gateway.servers.iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            let path = FieldPath::parse("spec.servers").index(position).key("tls");
            let single = tls.credential_name.iter();
            let single = single.map(|name| (name, path.key("credentialName")));
            let several = tls.credential_names.iter().enumerate();
            let several = several.map(|(at, name)| (name, path.key("credentialNames").index(at)));
            for (name, path) in single.chain(several).filter(|(name, _)| !name.is_empty()) {
                let (namespace, bare) = name.split_once('/').unwrap_or((namespace, name));
                let key = ResourceKey {
                    kind: Kind::Secret,
                    namespace: namespace.into(),
                    name: bare.into(),
                };
                let secret = context.snapshot.get(&key);
                let mut found = match secret.map(|secret| &secret.object) {
                    None => finding(
                        "IST0101",
                        Level::Error,
                        resource,
                        path,
                        format!("Referenced credentialName not found: {name:?}"),
                    ),
                    Some(Object::Secret(secret)) => match problem(secret) {
                        None => continue,
                        Some(problem) => finding(
                            "IST0161",
                            Level::Error,
                            resource,
                            path,
                            format!("Secret {namespace}/{bare} cannot be used: {problem}"),
                        ),
                    },
                    Some(_) => continue,
                };
                found.hint = Some(format!(
                    "the pods of the gateway read secrets of namespace {namespace}: `kubectl -n {namespace} create secret tls {bare} --cert=FILE --key=FILE`"
                ));
                findings.push(found);
            }
        }
    }
}

/// Why a Secret holds no certificate with its key. Nothing of what it holds is told.
fn problem(credential: &Credential) -> Option<&'static str> {
    let (chain, key) = (credential.chain.as_deref(), credential.key.as_ref());
    match (chain, key) {
        (None | Some(""), _) => Some("it has no certificate (tls.crt, or cert)"),
        (_, None) => Some("it has no private key (tls.key, or key)"),
        (_, Some(key)) if key.0.is_empty() => Some("its private key is empty"),
        (Some(chain), _) => {
            (!is_certificate(chain)).then_some("its certificate cannot be read as PEM")
        }
    }
}

/// Whether a text begins with a certificate: a block of PEM whose content has the outer shape of one in DER. Whether it is valid,
/// and for how long, is not looked at.
fn is_certificate(text: &str) -> bool {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let body = text
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END));
    let Some((body, _)) = body else {
        return false;
    };
    let body: String = body.split_whitespace().collect();
    let Ok(der) = STANDARD.decode(body) else {
        return false;
    };
    // SEQUENCE { SEQUENCE (what is certified), SEQUENCE (algorithm), BIT STRING (signature) }
    let Some((0x30, inner, [])) = element(&der) else {
        return false;
    };
    let Some((0x30, _, rest)) = element(inner) else {
        return false;
    };
    let Some((0x30, _, rest)) = element(rest) else {
        return false;
    };
    matches!(element(rest), Some((0x03, _, [])))
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0usize, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
