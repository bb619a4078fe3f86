//! Admission webhooks, as MutatingWebhookConfiguration and ValidatingWebhookConfiguration describe them.
//!
//! ```text
//! objects of the store --configuration--> Webhooks --matching--> those concerned --review--> AdmissionReview --call--> answer
//! ```
//!
//! Mutating webhooks are asked one after the other, by the names of their configurations, each about what the ones before
//! have made; validating webhooks are asked at the same time, about the final object.

mod call;
mod configuration;
mod matching;
mod review;

use futures::future::join_all;
use serde_json::Value;

pub use configuration::{Webhooks, check as check_configuration};

use super::Request;
use crate::json_patch;
use crate::kinds::Kinds;
use crate::state::Api;
use crate::status::Status;
use configuration::Webhook;
use matching::Target;

/// The object as mutating webhooks want it, and what they tell the client. Those that want it are asked once more when others
/// have changed it after them.
pub async fn mutate(
    api: &Api,
    webhooks: &Webhooks,
    request: &Request<'_>,
    mut object: Value,
) -> Result<(Value, Vec<String>), Status> {
    let kinds = api.kinds();
    let mut warnings = Vec::new();
    let mut version = 0;
    // The version of the object that each webhook has left behind; none before it was asked.
    let mut left: Vec<Option<u32>> = vec![None; webhooks.mutating().len()];
    for round in 0..2 {
        for (webhook, left) in webhooks.mutating().iter().zip(&mut left) {
            let again = round > 0;
            let is_due = match *left {
                None => !again,
                Some(seen) => again && webhook.reinvoke && seen < version,
            };
            let target = is_due.then(|| matching::target(webhook, request, &kinds, Some(&object)));
            let Some(target) = target.flatten() else {
                continue;
            };
            let before = object;
            let (after, told) = ask(api, webhook, request, &target, Some(&before)).await?;
            object = after.unwrap_or_else(|| before.clone());
            warnings.extend(told);
            if object != before {
                version += 1;
            }
            *left = Some(version);
        }
    }
    Ok((object, warnings))
}

/// Asks all validating webhooks that are concerned; what they tell the client.
pub async fn validate(
    api: &Api,
    webhooks: &Webhooks,
    request: &Request<'_>,
    object: Option<&Value>,
) -> Result<Vec<String>, Status> {
    let kinds = api.kinds();
    let asked = webhooks.validating().iter().filter_map(|webhook| {
        let target = matching::target(webhook, request, &kinds, object)?;
        Some(async move { ask(api, webhook, request, &target, object).await })
    });
    let mut warnings = Vec::new();
    for answer in join_all(asked).await {
        warnings.extend(answer?.1);
    }
    Ok(warnings)
}

/// Asks one webhook: the changed object, if it changes it, and its warnings.
async fn ask(
    api: &Api,
    webhook: &Webhook,
    request: &Request<'_>,
    target: &Target,
    object: Option<&Value>,
) -> Result<(Option<Value>, Vec<String>), Status> {
    let review = review::request(request, target, object);
    let uid = review["request"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let answer = call::call(api, webhook, &review).await;
    let answer = answer.and_then(|answer| review::read(&answer, &uid, webhook.mutates));
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let text = format!("failed calling webhook {:?}: {error}", webhook.name);
            if webhook.fail {
                return Err(Status::internal(format!("Internal error occurred: {text}")));
            }
            tracing::warn!(webhook = %webhook.name, "{text}; its failurePolicy is Ignore");
            return Ok((None, Vec::new()));
        }
    };
    if let Some(refusal) = answer.refusal {
        return Err(refusal.status(&webhook.name));
    }
    let (Some(patch), Some(object)) = (answer.patch, object) else {
        return Ok((None, answer.warnings));
    };
    let mut changed = target.encode(object);
    json_patch::apply(&mut changed, &patch).map_err(|error| {
        Status::internal(format!(
            "Internal error occurred: webhook {:?} answered with a patch that cannot be applied: {error}",
            webhook.name
        ))
    })?;
    target.decode(&mut changed);
    Ok((Some(changed), answer.warnings))
}

// === impl Webhooks ===

impl Webhooks {
    /// Whether any webhook could be concerned with a request, whatever the object's labels are.
    pub fn concern(&self, request: &Request<'_>, kinds: &Kinds) -> bool {
        let mut all = self.mutating().iter().chain(self.validating());
        all.any(|webhook| matching::could_concern(webhook, request, kinds))
    }
}
