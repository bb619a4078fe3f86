//! Reviews by an API server that knows one token.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mesh_ir::ProxyKind;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// What the API server says to a review.
fn answer(review: &Value) -> Value {
    let spec = &review["spec"];
    let user = match spec["token"].as_str() {
        Some("good") => "system:serviceaccount:default:reviews",
        Some("person") => "jane",
        Some("other") => {
            let user = json!({"username": "system:serviceaccount:default:reviews"});
            return json!({"authenticated": true, "user": user});
        }
        _ => return json!({"authenticated": false, "error": "it has expired"}),
    };
    assert_eq!(spec["audiences"], json!(["istio-ca"]));
    let user = json!({
        "username": user,
        "extra": {"authentication.kubernetes.io/pod-name": ["reviews-1"]},
    });
    json!({"authenticated": true, "user": user, "audiences": ["istio-ca"]})
}

/// Tokens that are reviewed by a server, and how many reviews it has had.
pub(in crate::identity) async fn tokens() -> (Tokens, Arc<AtomicUsize>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reviews = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&reviews);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            let service = service_fn(move |request: Request<Incoming>| {
                let counter = Arc::clone(&counter);
                async move {
                    counter.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(
                        request.uri().path(),
                        "/apis/authentication.k8s.io/v1/tokenreviews"
                    );
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let mut review: Value = serde_json::from_slice(&body).unwrap();
                    review["status"] = answer(&review);
                    let body = Full::new(Bytes::from(review.to_string()));
                    Ok::<_, Infallible>(
                        Response::builder()
                            .header("content-type", "application/json")
                            .body(body)
                            .unwrap(),
                    )
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    (Tokens::new(Client::try_from(config).unwrap()), reviews)
}

#[tokio::test]
async fn the_api_server_says_whose_a_token_is() {
    let (tokens, reviews) = tokens().await;
    for _ in 0..3 {
        let TokenOwner { identity, pod } = tokens.check(Some("Bearer good")).await.unwrap();
        assert_eq!(pod.as_deref(), Some("reviews-1"));
        assert_eq!(
            (
                identity.namespace.as_str(),
                identity.service_account.as_str()
            ),
            ("default", "reviews")
        );
    }
    assert_eq!(
        reviews.load(Ordering::SeqCst),
        1,
        "an accepted token is remembered"
    );
}

#[tokio::test]
async fn everything_else_is_refused_and_not_remembered() {
    let (tokens, reviews) = tokens().await;
    for missing in [None, Some(""), Some("Bearer "), Some("Basic good")] {
        assert_eq!(tokens.check(missing).await, Err(TokenError::Missing));
    }
    for _ in 0..2 {
        let refused = TokenError::Refused("it has expired".to_owned());
        assert_eq!(tokens.check(Some("Bearer bad")).await, Err(refused));
    }
    let other = tokens.check(Some("Bearer other")).await.unwrap_err();
    assert!(
        other
            .to_string()
            .contains("not meant for the audience istio-ca"),
        "{other}"
    );
    let person = TokenError::NotAServiceAccount("jane".to_owned());
    assert_eq!(tokens.check(Some("Bearer person")).await, Err(person));
    assert_eq!(reviews.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_api_server_that_is_away_lets_nobody_in() {
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tokens = Tokens::new(Client::try_from(config).unwrap());
    let error = tokens.check(Some("Bearer good")).await.unwrap_err();
    assert!(matches!(error, TokenError::Unavailable(_)), "{error}");
}

#[test]
fn service_accounts_are_recognised() {
    let identity = identity_of("system:serviceaccount:default:bookinfo-reviews").unwrap();
    assert_eq!(
        (
            identity.namespace.as_str(),
            identity.service_account.as_str()
        ),
        ("default", "bookinfo-reviews")
    );
    assert_eq!(identity_of("system:admin"), None);
    assert_eq!(identity_of("system:serviceaccount:default"), None);
}

#[test]
fn nobody_may_be_somebody_else() {
    let identity = TokenOwner {
        identity: identity_of("system:serviceaccount:default:reviews").unwrap(),
        pod: None,
    };
    let mut node = NodeInfo::new(ProxyKind::Sidecar, None, "reviews-1", "default");
    assert_eq!(identity.may_be(&node), Ok(()));
    node.set_text(keys::SERVICE_ACCOUNT, "reviews");
    assert_eq!(identity.may_be(&node), Ok(()));
    node.set_text(keys::SERVICE_ACCOUNT, "ratings");
    assert!(identity.may_be(&node).is_err());
    let elsewhere = NodeInfo::new(ProxyKind::Sidecar, None, "reviews-1", "prod");
    assert!(identity.may_be(&elsewhere).is_err());
    let node = NodeInfo::new(ProxyKind::Sidecar, None, "reviews-1", "default");
    for (pod, may) in [("reviews-1", true), ("reviews-2", false)] {
        let bound = TokenOwner {
            pod: Some(pod.to_owned()),
            ..identity.clone()
        };
        assert_eq!(bound.may_be(&node).is_ok(), may, "{pod}");
    }
}
