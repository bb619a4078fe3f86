//! `reviews`: `/reviews/ID`, what two readers think. v2 and v3 ask `ratings` for their stars.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::{no_product_id, product_id, service};
use crate::client::{Client, Target};
use crate::config::Config;
use crate::handler::{Call, Handler, Reply, json, method_not_allowed, not_found, versioned};
use crate::propagate::propagated;

/// Reviewers, as `ratings` names them, with what they write.
const REVIEWS: &[(&str, &str)] = &[
    (
        "Reviewer1",
        "Two pairs of twins, one town, and not a dull minute. I laughed until the last door opened.",
    ),
    (
        "Reviewer2",
        "Great fun, if you keep a list of who is who. The later plays go deeper, none goes faster.",
    ),
];

/// How long the black stars of v2 wait for `ratings`, and how long all others do. The difference is
/// the public sample's; tutorials on injected delays build on it.
const PATIENT: Duration = Duration::from_secs(10);
const IMPATIENT: Duration = Duration::from_millis(2500);

pub(crate) struct Reviews {
    version: String,
    pod: String,
    cluster: String,
    stars: Option<Stars>,
}

/// How the version shows ratings.
struct Stars {
    color: String,
    limit: Duration,
    ratings: Target,
    client: Client,
}

// === impl Reviews ===

impl Reviews {
    /// `color` is that of the stars; `None` asks nobody. `ENABLE_RATINGS` and `STAR_COLOR` overrule
    /// it, as the public images set them.
    pub(crate) fn new(
        config: &Config,
        version: &str,
        color: Option<&str>,
    ) -> anyhow::Result<Reviews> {
        let enabled = config.var("ENABLE_RATINGS");
        let enabled = enabled.map_or(color.is_some(), |text| text.eq_ignore_ascii_case("true"));
        let color = config.var("STAR_COLOR").or(color).unwrap_or("black");
        let stars = if enabled {
            Some(Stars::new(config, color)?)
        } else {
            None
        };
        Ok(Reviews {
            version: config.version(version),
            pod: config.pod_name(),
            // The public program prints Java's null when the variable is missing.
            cluster: config.var("CLUSTER_NAME").unwrap_or("null").to_owned(),
            stars,
        })
    }

    async fn answer(&self, call: Call) -> Reply {
        if call.method() != Method::GET {
            return method_not_allowed("GET, HEAD");
        }
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["health"] => json(StatusCode::OK, &json!({ "status": "Reviews is healthy" })),
            ["reviews", id] => match product_id(id) {
                Some(id) => self.reviews(id, propagated(call.headers())).await,
                None => no_product_id(),
            },
            _ => not_found(),
        }
    }

    async fn reviews(&self, id: u64, headers: HeaderMap) -> Reply {
        let ratings = match &self.stars {
            Some(stars) => Some(stars.ask(id, headers).await),
            None => None,
        };
        let reviews: Vec<Value> = REVIEWS
            .iter()
            .map(|&(reviewer, text)| match (&self.stars, &ratings) {
                (Some(stars), Some(ratings)) => json!({
                    "reviewer": reviewer,
                    "text": text,
                    "rating": stars.rating(ratings.as_ref(), reviewer),
                }),
                _ => json!({ "reviewer": reviewer, "text": text }),
            })
            .collect();
        let answer = json!({
            "id": id.to_string(),
            "podname": self.pod,
            "clustername": self.cluster,
            "reviews": reviews,
        });
        json(StatusCode::OK, &answer)
    }
}

// === impl Stars ===

impl Stars {
    fn new(config: &Config, color: &str) -> anyhow::Result<Stars> {
        let patient = color == "black";
        Ok(Stars {
            color: color.to_owned(),
            limit: if patient { PATIENT } else { IMPATIENT },
            ratings: service(config, "ratings")?,
            client: Client::new(config),
        })
    }

    /// The `ratings` object of the answer; `None` when there is no good answer.
    async fn ask(&self, id: u64, headers: HeaderMap) -> Option<Value> {
        let path = format!("/ratings/{id}");
        let asked = self.client.get(&self.ratings, &path, headers, self.limit);
        match asked.await {
            Ok(answer) if answer.status == StatusCode::OK => {
                let body: Value = serde_json::from_slice(&answer.body).ok()?;
                body.get("ratings").cloned()
            }
            Ok(answer) => {
                tracing::warn!(
                    status = answer.status.as_u16(),
                    "ratings answered no ratings"
                );
                None
            }
            Err(error) => {
                tracing::warn!(%error, "failed to ask for ratings");
                None
            }
        }
    }

    fn rating(&self, ratings: Option<&Value>, reviewer: &str) -> Value {
        let Some(ratings) = ratings else {
            return json!({ "error": "Ratings service is currently unavailable" });
        };
        let stars = ratings.get(reviewer).and_then(Value::as_u64);
        // -1 as the public program has it for a reviewer who gave none.
        let stars = stars.map_or(json!(-1), |stars| json!(stars));
        json!({ "stars": stars, "color": self.color })
    }
}

impl Handler for Reviews {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move { versioned(self.answer(call).await, &self.version) }.boxed()
    }
}
