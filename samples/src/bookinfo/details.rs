//! `details`: `/details/ID` with the facts about the book.

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::json;

use super::{no_product_id, product_id};
use crate::config::Config;
use crate::handler::{Call, Handler, Reply, json, method_not_allowed, not_found, versioned};

pub(crate) struct Details {
    version: String,
}

impl Details {
    pub(crate) fn new(config: &Config) -> Details {
        Details {
            version: config.version("v1"),
        }
    }

    fn answer(&self, call: &Call) -> Reply {
        if call.method() != Method::GET {
            return method_not_allowed("GET, HEAD");
        }
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["health"] => json(StatusCode::OK, &json!({ "status": "Details is healthy" })),
            ["details", id] => match product_id(id) {
                Some(id) => json(StatusCode::OK, &book(id)),
                None => no_product_id(),
            },
            _ => not_found(),
        }
    }
}

fn book(id: u64) -> serde_json::Value {
    json!({
        "id": id,
        "author": "William Shakespeare",
        "year": 1595,
        "type": "paperback",
        "pages": 200,
        "publisher": "PublisherA",
        "language": "English",
        "ISBN-10": "1234567890",
        "ISBN-13": "123-1234567890",
    })
}

impl Handler for Details {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move { versioned(self.answer(&call), &self.version) }.boxed()
    }
}
