//! What the API server's errors mean to a person who is writing objects.

use anyhow::anyhow;

use crate::failure;

/// An error in words: what was tried, what the server says, and what to do next where that is known.
pub fn explain(tried: &str, error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => {
            let error = anyhow!("{tried}: {}", status.message.trim_end_matches('.'));
            match status.code {
                401 => failure::advise(
                    error,
                    "the token or certificate may have expired: renew the kubeconfig",
                ),
                403 => failure::advise(
                    error,
                    "ask for the right that is named there; installing needs the rights of a cluster administrator",
                ),
                422 if status.message.contains("immutable") => failure::advise(
                    error,
                    "that field cannot be changed: delete the object and run the command again",
                ),
                _ => error,
            }
        }
        error => {
            let error = anyhow::Error::from(error);
            // The innermost cause is what a person can act on: "Connection refused".
            let cause = error.root_cause().to_string();
            failure::advise(
                anyhow!("{tried}: the API server cannot be reached: {cause}"),
                "run the command again when it is back: what is done is not done twice",
            )
        }
    }
}
