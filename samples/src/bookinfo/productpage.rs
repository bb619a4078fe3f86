//! `productpage`: the page that people look at, and the same content as JSON under `/api/v1`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::page::{self, Page};
use super::{no_product_id, product_id, service, session};
use crate::client::{Answer, Client, Target};
use crate::config::Config;
use crate::handler::{
    Call, Handler, Reply, VERSION_HEADER, html, json, method_not_allowed, not_found, text,
    versioned,
};
use crate::propagate::propagated;

/// The user on calls to other services; routing by user matches on it.
const END_USER: HeaderName = HeaderName::from_static("end-user");

/// How long each call may take, and how often `reviews` is asked: figures of the public sample, on
/// which tutorials about delays build (two times 3 s, so a delay of 7 s in `ratings` shows).
const LIMIT: Duration = Duration::from_secs(3);
const REVIEWS_ATTEMPTS: u32 = 2;

pub(crate) struct ProductPage {
    version: String,
    client: Client,
    details: Target,
    reviews: Target,
    ratings: Target,
}

/// What another service answered: its JSON, or an apology in its place.
pub(super) struct Part {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// The version that answered, if it said so.
    pub(super) version: Option<String>,
}

// === impl ProductPage ===

impl ProductPage {
    pub(crate) fn new(config: &Config) -> anyhow::Result<ProductPage> {
        Ok(ProductPage {
            version: config.version("v1"),
            client: Client::new(config),
            details: service(config, "details")?,
            reviews: service(config, "reviews")?,
            ratings: service(config, "ratings")?,
        })
    }

    async fn answer(&self, call: Call) -> Reply {
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (path.as_slice(), call.method()) {
            (["login"], Method::POST) => login(call).await,
            (["login"], Method::GET) => redirect(None),
            (["login"], _) => method_not_allowed("GET, HEAD, POST"),
            (["logout"], Method::GET | Method::POST) => redirect(session::cookie(None)),
            (path, Method::GET) => self.get(path, call.headers()).await,
            _ => method_not_allowed("GET, HEAD"),
        }
    }

    async fn get(&self, path: &[&str], headers: &HeaderMap) -> Reply {
        match path {
            [] | ["index.html"] => html(StatusCode::OK, page::index()),
            ["health"] => text(StatusCode::OK, "Product page is healthy"),
            ["productpage"] => self.page(headers).await,
            ["api", "v1", "products"] => json(StatusCode::OK, &json!([product()])),
            ["api", "v1", "products", id, rest @ ..] => {
                let Some(id) = product_id(id) else {
                    return no_product_id();
                };
                let headers = outgoing(headers, session::user(headers).as_deref());
                let part = match rest {
                    [] => self.details(id, headers).await,
                    ["reviews"] => self.reviews(id, headers).await,
                    ["ratings"] => self.ratings(id, headers).await,
                    _ => return not_found(),
                };
                json(part.status, &part.body)
            }
            _ => not_found(),
        }
    }

    async fn page(&self, headers: &HeaderMap) -> Reply {
        let user = session::user(headers);
        let headers = outgoing(headers, user.as_deref());
        let (details, reviews) =
            futures::join!(self.details(0, headers.clone()), self.reviews(0, headers));
        let page = Page {
            product: &product(),
            user: user.as_deref(),
            details: &details,
            reviews: &reviews,
        };
        html(StatusCode::OK, page.render())
    }

    async fn details(&self, id: u64, headers: HeaderMap) -> Part {
        let path = format!("/details/{id}");
        let answer = self.ask(&self.details, &path, headers).await;
        part(
            answer,
            "Sorry, product details are currently unavailable for this book.",
        )
    }

    async fn reviews(&self, id: u64, headers: HeaderMap) -> Part {
        let path = format!("/reviews/{id}");
        let mut answer = None;
        for _ in 0..REVIEWS_ATTEMPTS {
            answer = self.ask(&self.reviews, &path, headers.clone()).await;
            if matches!(&answer, Some(answer) if answer.status == StatusCode::OK) {
                break;
            }
        }
        part(
            answer,
            "Sorry, product reviews are currently unavailable for this book.",
        )
    }

    async fn ratings(&self, id: u64, headers: HeaderMap) -> Part {
        let path = format!("/ratings/{id}");
        let answer = self.ask(&self.ratings, &path, headers).await;
        part(
            answer,
            "Sorry, product ratings are currently unavailable for this book.",
        )
    }

    async fn ask(&self, target: &Target, path: &str, headers: HeaderMap) -> Option<Answer> {
        let answer = self.client.get(target, path, headers, LIMIT).await;
        answer
            .inspect_err(|error| tracing::warn!(%error, service = target.host, "call failed"))
            .ok()
    }
}

impl Handler for ProductPage {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move { versioned(self.answer(call).await, &self.version) }.boxed()
    }
}

/// The one book of the shop.
fn product() -> Value {
    json!({
        "id": 0,
        "title": "The Comedy of Errors",
        "descriptionHtml": "An early comedy of <b>William Shakespeare</b>, and his shortest play: \
            two pairs of twins, separated in a storm, come to the same town without knowing it, and \
            everybody in it takes each of them for the other.",
    })
}

/// Headers for calls to other services: those passed on, and the user who is signed in.
fn outgoing(incoming: &HeaderMap, user: Option<&str>) -> HeaderMap {
    let mut headers = propagated(incoming);
    let user = user.and_then(|user| HeaderValue::from_bytes(user.as_bytes()).ok());
    if let Some(user) = user {
        headers.insert(END_USER, user);
    }
    headers
}

/// The answer of a service, or `apology` with its error status, or with 500 if there is no answer.
fn part(answer: Option<Answer>, apology: &str) -> Part {
    let status = answer.as_ref().map(|answer| answer.status);
    if let Some(Answer {
        status: StatusCode::OK,
        headers,
        body,
    }) = answer
        && let Ok(body) = serde_json::from_slice(&body)
    {
        let version = headers.get(VERSION_HEADER).and_then(|v| v.to_str().ok());
        return Part {
            status: StatusCode::OK,
            body,
            version: version.map(str::to_owned),
        };
    }
    let failed = |status: &StatusCode| status.is_client_error() || status.is_server_error();
    Part {
        status: status
            .filter(failed)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        body: json!({ "error": apology }),
        version: None,
    }
}

async fn login(call: Call) -> Reply {
    let body = match call.body().await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    match session::user_of_form(&body) {
        Some(user) => redirect(session::cookie(Some(&user))),
        None => text(
            StatusCode::BAD_REQUEST,
            "username must have 1 to 64 bytes and no control characters\n",
        ),
    }
}

/// Back to the product page, with a changed session if there is one.
fn redirect(cookie: Option<HeaderValue>) -> Reply {
    let mut reply = text(StatusCode::FOUND, "");
    let headers = reply.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static("/productpage"));
    if let Some(cookie) = cookie {
        headers.insert(SET_COOKIE, cookie);
    }
    reply
}
