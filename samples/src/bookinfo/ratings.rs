//! `ratings`: `/ratings/ID`, how many stars each reviewer gives. POST changes them, in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{no_product_id, product_id};
use crate::config::Config;
use crate::handler::{Call, Handler, Reply, json, method_not_allowed, not_found, versioned};

/// Products whose ratings are kept, and reviewers of each: bounds for what callers can store.
const MAX_PRODUCTS: usize = 1000;
const MAX_REVIEWERS: usize = 100;

type Stars = BTreeMap<String, u8>;

pub(crate) struct Ratings {
    version: String,
    posted: Mutex<BTreeMap<u64, Stars>>,
}

impl Ratings {
    pub(crate) fn new(config: &Config) -> Ratings {
        Ratings {
            version: config.version("v1"),
            posted: Mutex::new(BTreeMap::new()),
        }
    }

    async fn answer(&self, call: Call) -> Reply {
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (path.as_slice(), call.method()) {
            (["health"], Method::GET) => {
                json(StatusCode::OK, &json!({ "status": "Ratings is healthy" }))
            }
            (["ratings", id], Method::GET) => match product_id(id) {
                Some(id) => self.get(id),
                None => no_product_id(),
            },
            (["ratings", id], Method::POST) => match product_id(id) {
                Some(id) => self.post(id, call).await,
                None => no_product_id(),
            },
            (["health"], _) => method_not_allowed("GET, HEAD"),
            (["ratings", _], _) => method_not_allowed("GET, HEAD, POST"),
            _ => not_found(),
        }
    }

    fn get(&self, id: u64) -> Reply {
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        match posted.get(&id) {
            Some(stars) => ratings(id, stars),
            None => ratings(
                id,
                &Stars::from([("Reviewer1".into(), 5), ("Reviewer2".into(), 4)]),
            ),
        }
    }

    async fn post(&self, id: u64, call: Call) -> Reply {
        let body = match call.body().await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let stars = serde_json::from_slice::<Stars>(&body).ok().filter(|stars| {
            stars.len() <= MAX_REVIEWERS && stars.values().all(|count| *count <= 5)
        });
        let Some(stars) = stars else {
            let wrong = json!({ "error": "please provide valid ratings JSON" });
            return json(StatusCode::BAD_REQUEST, &wrong);
        };
        let mut posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        if posted.len() >= MAX_PRODUCTS && !posted.contains_key(&id) {
            let full = json!({ "error": "too many products have ratings already" });
            return json(StatusCode::INSUFFICIENT_STORAGE, &full);
        }
        let reply = ratings(id, &stars);
        posted.insert(id, stars);
        reply
    }
}

fn ratings(id: u64, stars: &Stars) -> Reply {
    let ratings: Value = json!({ "id": id, "ratings": stars });
    json(StatusCode::OK, &ratings)
}

impl Handler for Ratings {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move { versioned(self.answer(call).await, &self.version) }.boxed()
    }
}
