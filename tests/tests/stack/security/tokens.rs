//! Tokens that must fail, each for a reason of its own.

use std::time::SystemTime;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::authorization::logged;
use crate::drain::ECHO;
use crate::http::Connection;
use crate::issuer::{ISSUER, Issuer, encode};
use crate::mesh::Mesh;

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let parts = [header, claims].map(|part| encode(part.to_string().as_bytes()));
    parts.join(".")
}

/// A token that a secret signs.
fn by_secret(secret: &[u8], header: Value, claims: &Value) -> String {
    let message = unsigned(&header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, message.as_bytes());
    [message, encode(tag.as_ref())].join(".")
}

/// The token with one part replaced.
fn with_part(token: &str, index: usize, part: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[index] = part;
    parts.join(".")
}

fn nested(depth: usize) -> String {
    ["[".repeat(depth), "]".repeat(depth)].concat()
}

#[test]
fn no_wrong_token_gets_past() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let rule = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: tokens, namespace: default}}\n\
         spec: {{selector: {{matchLabels: {{app: echo}}}}, jwtRules: [{{issuer: '{ISSUER}', audiences: [shop], jwks: '{}'}}]}}\n---\n",
        issuer.jwks()
    );
    let mut mesh = Mesh::start(&ECHO, &rule);
    let mut status = |token: &str| {
        let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
        let value = format!("Bearer {token}");
        let answer = connection.get("/status/200", &[("authorization", &value)]);
        answer.map(|answer| answer.status).unwrap_or_default()
    };
    let claims = json!({"iss": ISSUER, "sub": "alice", "aud": "shop", "exp": now() + 600});
    let good = issuer.token(claims.clone());
    assert_eq!(status(&good), 200);

    let change = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        issuer.token(changed)
    };
    let header = |header: Value| issuer.token_with(header, claims.clone());
    let payload = good.split('.').nth(1).unwrap();
    let admin = encode(
        json!({"iss": ISSUER, "sub": "admin", "aud": "shop"})
            .to_string()
            .as_bytes(),
    );
    let deep = encode(format!(r#"{{"iss":"{ISSUER}","x":{}}}"#, nested(20_000)).as_bytes());
    let jwk = stranger.jwk();
    let cases: Vec<(&str, String)> = vec![
        ("expired", change("exp", json!(now() - 120))),
        ("not valid yet", change("nbf", json!(now() + 600))),
        ("an expiry that is a text", change("exp", json!("tomorrow"))),
        (
            "another issuer",
            change("iss", json!("https://other.example")),
        ),
        ("another audience", change("aud", json!("bank"))),
        ("no audience", change("aud", Value::Null)),
        ("another key", stranger.token(claims.clone())),
        ("none", unsigned(&json!({"alg": "none"}), &claims) + "."),
        (
            "None",
            unsigned(&json!({"alg": "None", "kid": "k"}), &claims) + ".",
        ),
        ("no algorithm", header(json!({"kid": "k"}))),
        ("no signature", with_part(&good, 2, "")),
        (
            "HS256 with the public key",
            by_secret(
                issuer.jwks().as_bytes(),
                json!({"alg": "HS256", "kid": "k"}),
                &claims,
            ),
        ),
        (
            "HS256 with its coordinates",
            by_secret(
                issuer.jwk()["x"].as_str().unwrap().as_bytes(),
                json!({"alg": "HS256", "kid": "k"}),
                &claims,
            ),
        ),
        (
            "the header says another algorithm",
            header(json!({"alg": "RS256", "kid": "k"})),
        ),
        (
            "a wrong kid",
            header(json!({"alg": "ES256", "kid": "other"})),
        ),
        (
            "a key in the header",
            stranger.token_with(
                json!({"alg": "ES256", "kid": "k", "jwk": jwk}),
                claims.clone(),
            ),
        ),
        (
            "an address of keys in the header",
            stranger.token_with(
                json!({"alg": "ES256", "kid": "k", "jku": "http://127.0.0.1:1/keys"}),
                claims.clone(),
            ),
        ),
        (
            "something critical that nobody knows",
            header(json!({"alg": "ES256", "kid": "k", "crit": ["x"], "x": 1})),
        ),
        ("other claims", with_part(&good, 1, &admin)),
        (
            "claims with padding",
            with_part(&good, 1, &format!("{payload}==")),
        ),
        (
            "claims that are no JSON",
            with_part(&good, 1, &encode(b"{")),
        ),
        (
            "claims that are a list",
            with_part(&good, 1, &encode(b"[]")),
        ),
        ("claims twenty thousand deep", with_part(&good, 1, &deep)),
        (
            "a signature of zeros",
            with_part(&good, 2, &encode(&[0; 64])),
        ),
        ("a longer signature", format!("{good}AAAA")),
        ("four parts", format!("{good}.x")),
        ("two parts", "a.b".to_owned()),
        ("nothing", String::new()),
        ("no token", "x".to_owned()),
        ("too long", change("x", json!("y".repeat(40_000)))),
    ];
    for (name, token) in &cases {
        let got = status(token);
        // A head that is too long is refused as such.
        let refused = got == 401 || (token.len() > 32_000 && got == 431);
        assert!(refused || (token.is_empty() && got == 200), "{name}: {got}");
    }
    // None of them has done any harm.
    assert_eq!(status(&good), 200);
}

#[test]
fn a_token_in_a_query_is_never_logged() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let rule = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: tokens, namespace: default}}\n\
         spec: {{selector: {{matchLabels: {{app: echo}}}}, jwtRules: [{{issuer: '{ISSUER}', jwks: '{}'}}]}}\n---\n",
        issuer.jwks()
    );
    let mut mesh = Mesh::start(&ECHO, &rule);
    let (good, wrong) = (issuer.token(json!({})), stranger.token(json!({})));
    for (token, status) in [(&good, 200), (&wrong, 401)] {
        let mut connection = Connection::open(mesh.pod("echo").at(8080)).unwrap();
        let path = format!("/status/200?n={status}&access_token={token}&z=1");
        let answer = connection.get(&path, &[]).unwrap();
        assert_eq!(answer.status, status);
        let line = format!("\"GET /status/200?n={status}&z=1 HTTP/1.1\" {status}");
        logged(mesh.pod("echo"), &[&line]);
    }
    let log = mesh.pod("echo").proxy.stdout();
    for token in [good, wrong] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "{log}");
    }
}
