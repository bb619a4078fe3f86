//! Retries with Istio's defaults.

use mesh_ir::{RetryOn, RetryPolicy};

use super::Compiler;
use crate::diag::FieldPath;
use crate::model::{HttpRetry, MeshConfig};

/// How often another host is picked when a tried one comes up again.
const HOST_SELECTION_ATTEMPTS: u32 = 5;
const DEFAULT_ATTEMPTS: u32 = 2;
const DEFAULT_RETRY_ON: [RetryOn; 5] = [
    RetryOn::ConnectFailure,
    RetryOn::RefusedStream,
    RetryOn::Unavailable,
    RetryOn::Cancelled,
    RetryOn::RetriableStatusCodes,
];

/// The policy of routes that do not say: the mesh's, or else two more tries when no answer came.
pub(in crate::translate) fn default_retry(mesh: &MeshConfig) -> Option<RetryPolicy> {
    match &mesh.default_http_retry_policy {
        Some(retry) => policy(retry),
        None => Some(RetryPolicy {
            attempts: DEFAULT_ATTEMPTS,
            on: DEFAULT_RETRY_ON.to_vec(),
            status_codes: Vec::new(),
            per_try_timeout: None,
            base_interval: None,
            host_selection_attempts: HOST_SELECTION_ATTEMPTS,
        }),
    }
}

// === impl Compiler ===

impl Compiler<'_> {
    /// The policy of a rule; none is no retries.
    pub(super) fn retry(
        &mut self,
        retry: Option<&HttpRetry>,
        path: &FieldPath,
    ) -> Option<RetryPolicy> {
        let Some(retry) = retry else {
            return default_retry(self.mesh);
        };
        if retry.retry_remote_localities.is_some() {
            self.no_effect(path.key("retryRemoteLocalities"));
        }
        policy(retry)
    }
}

fn policy(retry: &HttpRetry) -> Option<RetryPolicy> {
    let attempts = u32::try_from(retry.attempts)
        .ok()
        .filter(|attempts| *attempts > 0)?;
    let mut on = Vec::new();
    let mut status_codes = Vec::new();
    let tokens = retry.retry_on.as_deref().unwrap_or_default().split(',');
    for token in tokens.map(str::trim).filter(|token| !token.is_empty()) {
        match (RetryOn::from_token(token), token.parse::<u16>()) {
            (Some(failure), _) => on.push(failure),
            (None, Ok(code)) if (100..600).contains(&code) => status_codes.push(code),
            // The mesh's own policy is not checked; what it does not mean is left out.
            _ => {}
        }
    }
    if !status_codes.is_empty() && !on.contains(&RetryOn::RetriableStatusCodes) {
        on.push(RetryOn::RetriableStatusCodes);
    }
    if on.is_empty() {
        on = DEFAULT_RETRY_ON.to_vec();
    }
    Some(RetryPolicy {
        attempts,
        on,
        status_codes,
        per_try_timeout: retry
            .per_try_timeout
            .map(|text| text.0)
            .filter(|timeout| !timeout.is_zero()),
        base_interval: retry.backoff.map(|text| text.0),
        host_selection_attempts: match retry.retry_ignore_previous_hosts {
            Some(false) => 0,
            None | Some(true) => HOST_SELECTION_ATTEMPTS,
        },
    })
}
