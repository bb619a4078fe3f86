//! Tokens of requests: `RequestAuthentication` in front of workloads, with keys that are written down and keys that are fetched.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use mesh_tests::eventually;
use serde_json::json;

use crate::authorization::policy;
use crate::drain::ECHO;
use crate::http::{Answer, Connection};
use crate::issuer::{ISSUER, Issuer};
use crate::mesh::{LIMIT, Mesh};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A RequestAuthentication with one rule; more fields follow the issuer.
fn tokens(fields: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: tokens, namespace: default}}\nspec: {{selector: {{matchLabels: {{app: echo}}}}, jwtRules: [{{issuer: '{ISSUER}', {fields}}}]}}\n---\n"
    )
}

/// One request to the pod `echo`.
#[track_caller]
fn request(mesh: &mut Mesh, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
    connection.get(path, fields).unwrap()
}

#[track_caller]
fn with_token(mesh: &mut Mesh, path: &str, token: &str) -> Answer {
    request(mesh, path, &[("authorization", &format!("Bearer {token}"))])
}

#[test]
fn a_wrong_token_is_refused_and_a_missing_one_is_up_to_policies() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let rule = tokens(&format!("jwks: '{}'", issuer.jwks()));
    let mut mesh = Mesh::start(&ECHO, &rule);
    let good = issuer.token(json!({"exp": now() + 600}));
    assert_eq!(request(&mut mesh, "/echo", &[]).status, 200);
    assert_eq!(with_token(&mut mesh, "/echo", &good).status, 200);
    for (token, body) in [
        (issuer.token(json!({"exp": now() - 120})), "Jwt is expired"),
        (
            issuer.token(json!({"iss": "other"})),
            "Jwt issuer is not configured",
        ),
        (stranger.token(json!({})), "Jwt verification fails"),
        (
            "x".to_owned(),
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
    ] {
        let answer = with_token(&mut mesh, "/echo", &token);
        assert_eq!((answer.status, answer.body.as_str()), (401, body));
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer realm=\"http://"),
            "{challenge}"
        );
        assert!(
            challenge.ends_with("error=\"invalid_token\""),
            "{challenge}"
        );
    }
    // Also where another one is right.
    let both = format!("/echo?access_token={}", stranger.token(json!({})));
    assert_eq!(with_token(&mut mesh, &both, &good).status, 401);

    let required = "{selector: {matchLabels: {app: echo}}, rules: [{from: [{source: {requestPrincipals: ['https://issuer.example/*']}}], when: [{key: 'request.auth.claims[groups]', values: [admin]}]}]}";
    mesh.configure(&[rule, policy("required", required)].concat());
    eventually("the policy is in force", LIMIT, || {
        (request(&mut mesh, "/echo", &[]).status == 403).then_some(())
    });
    let admin = issuer.token(json!({"groups": ["staff", "admin"]}));
    assert_eq!(with_token(&mut mesh, "/echo", &admin).status, 200);
    assert_eq!(with_token(&mut mesh, "/echo", &good).status, 403);
}

#[test]
fn claims_reach_the_program_as_headers_and_tokens_do_not() {
    let issuer = Issuer::new();
    let rule = tokens(&format!(
        "jwks: '{}', fromHeaders: [{{name: x-token}}], fromParams: [token], fromCookies: [session], outputPayloadToHeader: x-payload, outputClaimToHeaders: [{{header: x-sub, claim: sub}}]",
        issuer.jwks()
    ));
    let mut mesh = Mesh::start(&ECHO, &rule);
    let token = issuer.token(json!({}));
    let cookie = format!("a=b; session={token}");
    let forged = ("x-sub", "root");
    for (path, field) in [
        ("/echo", ("x-token", token.as_str())),
        (&*format!("/echo?a=b&token={token}"), ("x-other", "")),
        ("/echo", ("cookie", cookie.as_str())),
    ] {
        let answer = request(&mut mesh, path, &[field, forged]);
        assert_eq!(answer.status, 200, "{answer:?}");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!answer.body.contains(signature), "{}", answer.body);
        assert!(answer.body.contains("alice"), "{}", answer.body);
        assert!(!answer.body.contains("root"), "{}", answer.body);
        let payload = token.split('.').nth(1).unwrap();
        assert!(answer.body.contains(payload), "{}", answer.body);
    }
    let without = request(&mut mesh, "/echo", &[forged, ("x-payload", "forged")]);
    assert!(!without.body.contains("root"), "{}", without.body);
    assert!(!without.body.contains("forged"), "{}", without.body);
}

#[test]
fn keys_are_fetched_by_the_control_plane() {
    let issuer = Issuer::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let jwks = issuer.jwks();
    std::thread::spawn(move || {
        // The first answer is none, so that it is asked again.
        for body in ["broken", &jwks] {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let rule = tokens(&format!("jwksUri: 'http://{address}/keys'"));
    let mut mesh = Mesh::start(&ECHO, &rule);
    let token = issuer.token(json!({}));
    // Without keys every token is wrong.
    assert_eq!(request(&mut mesh, "/echo", &[]).status, 200);
    eventually("the keys are there", LIMIT, || {
        let answer = with_token(&mut mesh, "/echo", &token);
        assert!([200, 401].contains(&answer.status), "{answer:?}");
        (answer.status == 200).then_some(())
    });
}
