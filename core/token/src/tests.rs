//! Tokens that are right, and tokens that must fail: each kind is one case with its name.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mesh_ir::evaluate::{TokenError, Tokens};
use mesh_ir::matching::{EditedRequest, PlainRequest, RequestView};
use mesh_ir::policy::{ClaimToHeader, JwtRule, RequestAuthentication, TokenLocation};
use serde_json::{Value, json};

use crate::{CheckedTokens, TokenCache, TokenVerifier};

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://issuer.example";

/// Keys of an issuer.
struct Issuer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issuer {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
        }
    }

    fn jwks(&self) -> String {
        let public = self.rsa.public_key();
        let point = self.ec.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig",
             "n": encode(public.modulus().big_endian_without_leading_zero()),
             "e": encode(public.exponent().big_endian_without_leading_zero())},
            {"kty": "EC", "kid": "ec", "crv": "P-256", "alg": "ES256", "x": encode(&point[1..33]), "y": encode(&point[33..])},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(self.ed.public_key().as_ref())},
            {"kty": "RSA", "kid": "unreadable", "n": "!", "e": "AQAB"},
            {"kty": "oct", "kid": "secret", "k": encode(b"secret")},
        ]})
        .to_string()
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        let message = [
            encode(header.to_string().as_bytes()),
            encode(payload.as_bytes()),
        ]
        .join(".");
        let random = SystemRandom::new();
        let signature = match header["alg"].as_str() {
            Some(name @ ("RS256" | "PS256")) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = match name {
                    "RS256" => &RSA_PKCS1_SHA256,
                    _ => &RSA_PSS_SHA256,
                };
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let bytes = message.as_bytes();
                self.rsa
                    .sign(padding, &random, bytes, &mut signature)
                    .unwrap();
                signature
            }
            Some("ES256") => {
                let signed = self.ec.sign(&random, message.as_bytes()).unwrap();
                signed.as_ref().to_vec()
            }
            Some("EdDSA") => self.ed.sign(message.as_bytes()).as_ref().to_vec(),
            _ => Vec::new(),
        };
        [message, encode(&signature)].join(".")
    }

    fn token(&self, claims: Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": "ec"}), &claims.to_string())
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": ["shop", "other"], "exp": NOW + 600})
}

fn authorization() -> TokenLocation {
    TokenLocation::Header {
        name: "authorization".into(),
        prefix: "Bearer ".into(),
    }
}

fn rule(issuer: &Issuer) -> JwtRule {
    JwtRule {
        issuer: ISSUER.into(),
        audiences: vec![],
        jwks: issuer.jwks().into(),
        locations: vec![
            authorization(),
            TokenLocation::Parameter("access_token".into()),
        ],
        forward_original_token: false,
        output_payload_to_header: None,
        output_claims: vec![],
        origin: None,
    }
}

fn verifier(rules: Vec<JwtRule>) -> TokenVerifier {
    TokenVerifier::new(&RequestAuthentication { rules })
}

fn bearer(token: &str) -> PlainRequest {
    PlainRequest::get("web", "/").with_header("authorization", &format!("Bearer {token}"))
}

fn check(verifier: &TokenVerifier, request: &PlainRequest) -> CheckedTokens {
    verifier.check(request, NOW, &mut TokenCache::default())
}

fn outcome(checked: &CheckedTokens) -> Result<Vec<String>, TokenError> {
    match checked.tokens() {
        Tokens::None => Ok(vec![]),
        Tokens::Invalid(error) => Err(error),
        Tokens::Verified(tokens) => {
            let names = tokens
                .iter()
                .map(|token| token.principal().unwrap().to_owned());
            Ok(names.collect())
        }
    }
}

fn alice() -> Result<Vec<String>, TokenError> {
    Ok(vec![format!("{ISSUER}/alice")])
}

#[test]
fn a_token_is_right_by_the_type_of_its_key() {
    let issuer = Issuer::new();
    let verifier = verifier(vec![rule(&issuer)]);
    for (algorithm, key) in [
        ("RS256", "rsa"),
        ("PS256", "rsa"),
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ] {
        for header in [
            json!({"alg": algorithm, "kid": key}),
            json!({"alg": algorithm}),
        ] {
            let token = issuer.sign(&header, &claims().to_string());
            assert_eq!(
                outcome(&check(&verifier, &bearer(&token))),
                alice(),
                "{header}"
            );
        }
    }
}

#[test]
fn tokens_that_must_fail() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let mut strict = rule(&issuer);
    strict.audiences = vec!["shop".into()];
    let verifier = verifier(vec![strict]);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        issuer.token(claims)
    };
    let good = issuer.token(claims());
    let parts: Vec<&str> = good.split('.').collect();
    let payload = claims().to_string();
    let es256 = |header: Value| issuer.sign(&header, &payload);
    let hmac_with_public_key = {
        let key = hmac::Key::new(hmac::HMAC_SHA256, issuer.jwks().as_bytes());
        let header = json!({"alg": "HS256", "kid": "rsa"}).to_string();
        let message = [encode(header.as_bytes()), encode(payload.as_bytes())].join(".");
        let tag = hmac::sign(&key, message.as_bytes());
        [message, encode(tag.as_ref())].join(".")
    };
    let own_key = stranger.ec.public_key().as_ref();
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    let es = json!({"alg": "ES256", "kid": "ec"});
    let deep = issuer.sign(
        &es,
        &format!("{{\"iss\":\"{ISSUER}\",\"a\":{}}}", nested(1000)),
    );
    let deep_header = [&encode(nested(1000).as_bytes()), parts[1], parts[2]].join(".");
    let cases: Vec<(&str, String, TokenError)> = vec![
        ("expired", with("exp", json!(NOW - 61)), TokenError::Expired),
        ("not valid yet", with("nbf", json!(NOW + 61)), TokenError::NotYetValid),
        ("another issuer", with("iss", json!("https://other.example")), TokenError::UnknownIssuer),
        ("no issuer", with("iss", json!("")), TokenError::UnknownIssuer),
        ("an issuer that is no text", with("iss", json!(1)), TokenError::Malformed),
        ("another audience", with("aud", json!("bank")), TokenError::Audience),
        ("no audience", with("aud", Value::Null), TokenError::Audience),
        ("a date that is no number", with("exp", json!("soon")), TokenError::Malformed),
        ("a negative date", with("exp", json!(-1)), TokenError::Malformed),
        ("none", es256(json!({"alg": "none"})), TokenError::Algorithm),
        ("None", es256(json!({"alg": "None"})), TokenError::Algorithm),
        ("HS256 with the public key", hmac_with_public_key, TokenError::Algorithm),
        ("no algorithm", es256(json!({"kid": "ec"})), TokenError::Malformed),
        (
            "the key of a secret",
            es256(json!({"alg": "HS256", "kid": "secret"})),
            TokenError::Algorithm,
        ),
        (
            "another type than the key's",
            issuer.sign(&json!({"alg": "RS256", "kid": "ec"}), &payload),
            TokenError::NoKeys,
        ),
        ("a wrong kid", es256(json!({"alg": "ES256", "kid": "gone"})), TokenError::NoKeys),
        ("a kid that is no text", es256(json!({"alg": "ES256", "kid": 1})), TokenError::Malformed),
        ("a key of somebody else", stranger.token(claims()), TokenError::Signature),
        (
            "its own key in the header",
            stranger.sign(
                &json!({"alg": "ES256", "jwk": {
                    "kty": "EC", "crv": "P-256", "x": encode(&own_key[1..33]), "y": encode(&own_key[33..]),
                }}),
                &payload,
            ),
            TokenError::Signature,
        ),
        (
            "what must be understood",
            es256(json!({"alg": "ES256", "kid": "ec", "crit": ["exp"]})),
            TokenError::Malformed,
        ),
        (
            "tampered",
            [parts[0], &encode(payload.replace("alice", "admin").as_bytes()), parts[2]].join("."),
            TokenError::Signature,
        ),
        ("no signature", [parts[0], parts[1], ""].join("."), TokenError::Signature),
        ("two parts", [parts[0], parts[1]].join("."), TokenError::Malformed),
        ("four parts", [&good, "x"].join("."), TokenError::Malformed),
        ("padded", [&good, "="].concat(), TokenError::Malformed),
        ("no base64", "a!.b.c".to_owned(), TokenError::Malformed),
        ("nothing", String::new(), TokenError::Malformed),
        ("oversized", with("pad", json!("x".repeat(40 << 10))), TokenError::Malformed),
        ("nested a thousandfold", deep, TokenError::Malformed),
        ("a header nested a thousandfold", deep_header, TokenError::Malformed),
        ("claims that are no object", issuer.sign(&es, "[]"), TokenError::Malformed),
    ];
    assert_eq!(outcome(&check(&verifier, &bearer(&good))), alice());
    for (name, token, error) in cases {
        assert_eq!(
            outcome(&check(&verifier, &bearer(&token))),
            Err(error),
            "{name}"
        );
    }
}

#[test]
fn without_keys_every_token_is_wrong() {
    let issuer = Issuer::new();
    for jwks in ["", "{}", "not JSON", "{\"keys\": []}", "{\"keys\": 5}"] {
        let rule = JwtRule {
            jwks: jwks.into(),
            ..rule(&issuer)
        };
        let checked = check(&verifier(vec![rule]), &bearer(&issuer.token(claims())));
        assert_eq!(outcome(&checked), Err(TokenError::NoKeys), "{jwks}");
    }
}

#[test]
fn clocks_may_differ_by_a_minute() {
    let issuer = Issuer::new();
    let verifier = verifier(vec![rule(&issuer)]);
    let token =
        issuer.token(json!({"iss": ISSUER, "sub": "alice", "exp": NOW - 60, "nbf": NOW + 60}));
    assert_eq!(outcome(&check(&verifier, &bearer(&token))), alice());
}

#[test]
fn a_token_that_is_remembered_expires_all_the_same() {
    let issuer = Issuer::new();
    let verifier = verifier(vec![rule(&issuer)]);
    let request = bearer(&issuer.token(claims()));
    let mut cache = TokenCache::default();
    for (now, expect) in [
        (NOW, alice()),
        (NOW + 660, alice()),
        (NOW + 661, Err(TokenError::Expired)),
    ] {
        assert_eq!(
            outcome(&verifier.check(&request, now, &mut cache)),
            expect,
            "{now}"
        );
    }
    assert_eq!(cache.len(), 1);
    // Another configuration has other keys.
    let other = self::verifier(vec![rule(&Issuer::new())]);
    let checked = other.check(&request, NOW, &mut cache);
    assert_eq!(outcome(&checked), Err(TokenError::Signature));
}

#[test]
fn what_is_remembered_is_bounded() {
    let issuer = Issuer::new();
    let verifier = verifier(vec![rule(&issuer)]);
    let mut cache = TokenCache::default();
    for number in 0..600 {
        let token = issuer.token(json!({"iss": ISSUER, "sub": number.to_string()}));
        assert!(outcome(&verifier.check(&bearer(&token), NOW, &mut cache)).is_ok());
    }
    assert!(cache.len() <= 512, "{}", cache.len());
}

#[test]
fn tokens_are_found_where_rules_look_and_do_not_go_on() {
    let issuer = Issuer::new();
    let mut own = rule(&issuer);
    own.locations = vec![
        authorization(),
        TokenLocation::Header {
            name: "x-token".into(),
            prefix: "".into(),
        },
        TokenLocation::Parameter("access_token".into()),
        TokenLocation::Cookie("session".into()),
    ];
    let verifier = verifier(vec![own]);
    let token = issuer.token(claims());
    let get = |path: &str| PlainRequest::get("web", path);
    let cookie = |line: &str| get("/").with_header("cookie", line);
    for request in [
        get("/").with_header("authorization", &format!("bEaReR   {token}")),
        get("/").with_header("x-token", &token),
        get(&format!("/?a=b&access_token={token}")),
        get(&format!("/?access%5Ftoken={}", token.replace('.', "%2e"))),
        cookie(&format!("a=b; session=\"{token}\"")),
    ] {
        let checked = check(&verifier, &request);
        assert_eq!(outcome(&checked), alice(), "{request:?}");
        let edited = EditedRequest {
            request: &request,
            edits: &checked.edits,
            tokens: checked.tokens(),
        };
        let text = format!(
            "{:?} {:?} {:?} {:?}",
            edited.query().map(String::from_utf8_lossy),
            edited.header("authorization"),
            edited.header("x-token"),
            edited
                .header("cookie")
                .map(|line| String::from_utf8_lossy(&line).into_owned()),
        );
        assert!(!text.contains(token.split('.').next().unwrap()), "{text}");
        if request
            .query
            .as_ref()
            .is_some_and(|query| query.starts_with("a="))
        {
            assert_eq!(edited.query(), Some(&b"a=b"[..]));
        }
        if let Some(line) = edited.header("cookie") {
            assert_eq!(&*line, b"a=b");
        }
    }
    // Other schemes are nobody's tokens.
    let basic = get("/").with_header("authorization", "Basic YTpi");
    assert_eq!(outcome(&check(&verifier, &basic)), Ok(vec![]));
    assert!(check(&verifier, &basic).edits.is_empty());
}

#[test]
fn one_wrong_token_spoils_the_others() {
    let issuer = Issuer::new();
    let verifier = verifier(vec![rule(&issuer)]);
    let token = issuer.token(claims());
    let request = PlainRequest::get("web", "/?access_token=a.b.c")
        .with_header("authorization", &format!("Bearer {token}"));
    assert_eq!(
        outcome(&check(&verifier, &request)),
        Err(TokenError::Malformed)
    );
    let request = bearer(&token).with_header("authorization", "Bearer a.b.c");
    assert_eq!(
        outcome(&check(&verifier, &request)),
        Err(TokenError::Malformed)
    );
}

#[test]
fn a_rule_counts_for_its_own_places_only() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let elsewhere = JwtRule {
        issuer: "https://other.example".into(),
        locations: vec![TokenLocation::Header {
            name: "x-other".into(),
            prefix: "".into(),
        }],
        ..rule(&other)
    };
    let verifier = verifier(vec![rule(&issuer), elsewhere]);
    let mut claims = claims();
    claims["iss"] = json!("https://other.example");
    let token = other.token(claims);
    let placed = PlainRequest::get("web", "/").with_header("x-other", &token);
    assert_eq!(
        outcome(&check(&verifier, &placed)),
        Ok(vec!["https://other.example/alice".into()])
    );
    assert_eq!(
        outcome(&check(&verifier, &bearer(&token))),
        Err(TokenError::UnknownIssuer)
    );
}

#[test]
fn claims_become_headers_that_clients_cannot_forge() {
    let issuer = Issuer::new();
    let output = |header: &str, claim: &str| ClaimToHeader {
        header: header.into(),
        claim: claim.into(),
    };
    let mut own = rule(&issuer);
    own.forward_original_token = true;
    own.output_payload_to_header = Some("x-payload".into());
    own.output_claims = vec![
        output("x-sub", "sub"),
        output("x-realm", "realm.name"),
        output("x-admin", "admin"),
        output("x-list", "aud"),
        output("x-none", "none"),
        output("x-lines", "lines"),
    ];
    let verifier = verifier(vec![own]);
    let mut claims = claims();
    claims["realm"] = json!({"name": "eu"});
    claims["admin"] = json!(true);
    claims["lines"] = json!("a\r\nb: c");
    let token = issuer.token(claims);
    let forged = |request: PlainRequest| {
        [
            "x-payload",
            "x-sub",
            "x-realm",
            "x-admin",
            "x-list",
            "x-none",
            "x-lines",
        ]
        .iter()
        .fold(request, |request, name| request.with_header(name, "forged"))
    };
    for (request, expect) in [
        (
            forged(bearer(&token)),
            [
                ("x-sub", Some("alice")),
                ("x-realm", Some("eu")),
                ("x-admin", Some("true")),
                ("x-list", Some("WyJzaG9wIiwib3RoZXIiXQ==")),
                ("x-none", None),
                ("x-lines", None),
                ("x-payload", token.split('.').nth(1)),
            ],
        ),
        (
            forged(PlainRequest::get("web", "/")),
            [
                "x-sub",
                "x-realm",
                "x-admin",
                "x-list",
                "x-none",
                "x-lines",
                "x-payload",
            ]
            .map(|name| (name, None)),
        ),
    ] {
        let checked = check(&verifier, &request);
        let edited = EditedRequest {
            request: &request,
            edits: &checked.edits,
            tokens: checked.tokens(),
        };
        for (name, value) in expect {
            let found = edited
                .header(name)
                .map(|value| String::from_utf8(value.into_owned()).unwrap());
            assert_eq!(found.as_deref(), value, "{name}");
        }
    }
    let claim: [Arc<str>; 2] = ["realm".into(), "name".into()];
    let request = bearer(&token);
    let checked = check(&verifier, &request);
    let edited = EditedRequest {
        request: &request,
        edits: &checked.edits,
        tokens: checked.tokens(),
    };
    assert!(edited.any_claim(&claim, &mut |value| value == "eu"));
    assert!(!edited.any_claim(&claim, &mut |value| value == "us"));
}
