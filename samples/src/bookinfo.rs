//! Bookinfo: a book page put together from details, reviews and ratings.
//!
//! ```text
//! productpage --> details
//!      '--------> reviews v1, v2, v3 --(v2 black, v3 red)--> ratings
//! ```
//!
//! Paths, JSON fields, environment variables and timeouts are those of the public sample, so that
//! its YAML and its tutorials work unchanged.

mod details;
mod page;
mod productpage;
mod ratings;
mod reviews;
mod session;
mod stars;
mod store;

pub(crate) use details::Details;
pub(crate) use productpage::ProductPage;
pub(crate) use ratings::Ratings;
pub(crate) use reviews::Reviews;
pub(crate) use store::Store;

use anyhow::Context;
use http::StatusCode;
use serde_json::json;

use crate::client::Target;
use crate::config::Config;
use crate::handler::{Reply, json};

/// Where the service `name` is. As in the public sample `NAME_HOSTNAME` and `NAME_SERVICE_PORT`
/// choose another host and port, and `SERVICES_DOMAIN` is appended to the host.
fn service(config: &Config, name: &str) -> anyhow::Result<Target> {
    let prefix = name.to_ascii_uppercase();
    let host = config.var(&format!("{prefix}_HOSTNAME")).unwrap_or(name);
    let domain = config.var("SERVICES_DOMAIN");
    let domain = domain
        .map(|domain| format!(".{domain}"))
        .unwrap_or_default();
    let port = config
        .var(&format!("{prefix}_SERVICE_PORT"))
        .unwrap_or("9080");
    let text = format!("{host}{domain}:{port}");
    Target::parse(&text).with_context(|| {
        format!("{prefix}_HOSTNAME, SERVICES_DOMAIN and {prefix}_SERVICE_PORT make {text:?}, expected HOST:PORT")
    })
}

/// A product id as paths have it: a number. Every product has the facts of the one book.
fn product_id(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// The answer to a product id that is none.
fn no_product_id() -> Reply {
    let wrong = json!({ "error": "please provide numeric product ID" });
    json(StatusCode::BAD_REQUEST, &wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(pairs: &[(&str, &str)]) -> anyhow::Result<Target> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let config = Config::from_vars(pairs.iter().map(owned).collect())?;
        service(&config, "ratings")
    }

    #[test]
    fn where_a_service_is() {
        let found = |pairs| {
            let target = target(pairs).unwrap();
            format!("{}:{}", target.host, target.port)
        };
        assert_eq!(found(&[]), "ratings:9080");
        assert_eq!(
            found(&[("SERVICES_DOMAIN", "books.svc")]),
            "ratings.books.svc:9080"
        );
        let other = [
            ("RATINGS_HOSTNAME", "127.0.0.9"),
            ("RATINGS_SERVICE_PORT", "81"),
        ];
        assert_eq!(found(&other), "127.0.0.9:81");
        assert!(target(&[("RATINGS_SERVICE_PORT", "tcp://1")]).is_err());
    }
}
