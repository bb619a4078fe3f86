//! `ratings`: `/ratings/ID`, how many stars each reviewer gives. POST changes them, in memory or in the
//! data store that the environment names.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::stars::{Shelf, Stars};
use super::store::Remote;
use super::{no_product_id, product_id};
use crate::config::Config;
use crate::handler::{Call, Handler, Reply, json, method_not_allowed, not_found, versioned};

pub(crate) struct Ratings {
    version: String,
    /// Where the stars are kept; in memory without a store.
    store: Option<Remote>,
    shelf: Mutex<Shelf>,
}

impl Ratings {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Ratings> {
        Ok(Ratings {
            version: config.version("v1"),
            store: Remote::of(config)?,
            shelf: Mutex::default(),
        })
    }

    async fn answer(&self, call: Call) -> Reply {
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (path.as_slice(), call.method()) {
            (["health"], Method::GET) => {
                json(StatusCode::OK, &json!({ "status": "Ratings is healthy" }))
            }
            (["ratings", id], Method::GET) => match product_id(id) {
                Some(id) => self.get(id).await,
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

    async fn get(&self, id: u64) -> Reply {
        let kept = match &self.store {
            Some(store) => store.get(id).await,
            None => Ok(self.shelf().get(id)),
        };
        match kept {
            Ok(stars) => ratings(id, &stars),
            Err(error) => no_store(&error),
        }
    }

    async fn post(&self, id: u64, call: Call) -> Reply {
        let body = match call.body().await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let Some(stars) = Stars::parse(&body) else {
            let wrong = json!({ "error": "please provide valid ratings JSON" });
            return json(StatusCode::BAD_REQUEST, &wrong);
        };
        if let Some(store) = &self.store {
            return match store.put(id, &stars).await {
                Ok(stars) => ratings(id, &stars),
                Err(error) => no_store(&error),
            };
        }
        match self.shelf().put(id, stars) {
            Ok(stars) => ratings(id, &stars),
            Err(full) => json(StatusCode::INSUFFICIENT_STORAGE, &json!({ "error": full })),
        }
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer when the data store gives none.
fn no_store(error: &anyhow::Error) -> Reply {
    tracing::warn!(error = format!("{error:#}"), "no ratings");
    let wrong = json!({ "error": "could not connect to ratings database" });
    json(StatusCode::INTERNAL_SERVER_ERROR, &wrong)
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
