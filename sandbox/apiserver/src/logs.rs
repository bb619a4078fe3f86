//! `pods/log`: which run of which container is meant, and what of it.
//!
//! ```text
//! query -> LogQuery -> (pod, container, run) -> the node -> lines
//! ```

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use crate::kubelet::{ContainerRun, LogOptions};

/// Annotation that names the container meant when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    pub container: Option<String>,
    /// The run before the present one.
    pub previous: bool,
    pub options: LogOptions,
}

/// Why there is no log to show: a sentence for a `400 Bad Request`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LogError(String);

// === impl LogQuery ===

impl LogQuery {
    /// Reads the parameters of the request.
    pub fn parse<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Result<Self, LogError> {
        let mut query = Self::default();
        for (name, value) in parameters {
            let bad = || {
                LogError(format!(
                    "invalid value {value:?} of query parameter {name:?}"
                ))
            };
            let flag = || match value {
                "" | "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(bad()),
            };
            let whole = || value.parse::<usize>().map_err(|_| bad());
            let options = &mut query.options;
            match name {
                "container" => {
                    query.container = Some(value.to_owned()).filter(|name| !name.is_empty());
                }
                "previous" => query.previous = flag()?,
                "follow" => options.follow = flag()?,
                "timestamps" => options.timestamps = flag()?,
                "tailLines" => options.tail = Some(whole()?),
                "limitBytes" => options.limit = Some(whole()?),
                "sinceTime" => options.since = Some(value.parse().map_err(|_| bad())?),
                "sinceSeconds" => {
                    let seconds = value
                        .parse()
                        .ok()
                        .filter(|seconds: &i64| *seconds > 0)
                        .ok_or_else(bad)?;
                    let span = SignedDuration::from_secs(seconds);
                    options.since = Some(now.checked_sub(span).unwrap_or(Timestamp::UNIX_EPOCH));
                }
                // Others change nothing here, such as `pretty` and `insecureSkipTLSVerifyBackend`.
                _ => {}
            }
        }
        Ok(query)
    }

    /// The run whose log is meant.
    pub fn source(&self, pod: &Pod) -> Result<ContainerRun, LogError> {
        let container = self.container_of(pod)?;
        let name = pod.name_any();
        let waiting = |why: &str| {
            LogError(format!(
                "container {container:?} in pod {name:?} is waiting to start: {why}"
            ))
        };
        let status = status(pod, &container).ok_or_else(|| waiting("PodInitializing"))?;
        let run = status.restart_count - i32::from(self.previous);
        if run < 0 {
            return Err(LogError(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            )));
        }
        let never_ran = status.restart_count == 0
            && status
                .last_state
                .as_ref()
                .is_none_or(|last| last.terminated.is_none());
        let state = status.state.as_ref();
        if let Some(state) = state.and_then(|state| state.waiting.as_ref())
            && never_ran
        {
            let reason = state.reason.as_deref().unwrap_or("ContainerCreating");
            return Err(match state.message.as_deref() {
                Some(message) if !message.is_empty() => waiting(&format!("{reason}: {message}")),
                _ => waiting(reason),
            });
        }
        Ok(ContainerRun {
            uid: pod.uid().unwrap_or_default(),
            container,
            run,
        })
    }

    fn container_of(&self, pod: &Pod) -> Result<String, LogError> {
        let spec = pod.spec.clone().unwrap_or_default();
        let init = spec.init_containers.unwrap_or_default();
        let names = |containers: &[k8s_openapi::api::core::v1::Container]| -> Vec<String> {
            containers
                .iter()
                .map(|container| container.name.clone())
                .collect()
        };
        let (mains, all) = (
            names(&spec.containers),
            names(&[init, spec.containers.clone()].concat()),
        );
        let preferred = pod.annotations().get(DEFAULT_CONTAINER);
        let wanted = self
            .container
            .as_ref()
            .or_else(|| preferred.filter(|name| all.contains(name)));
        match (wanted, mains.as_slice()) {
            (Some(name), _) if all.contains(name) => Ok(name.clone()),
            (Some(name), _) => Err(LogError(format!(
                "container {name} is not valid for pod {}",
                pod.name_any()
            ))),
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(LogError(format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                pod.name_any(),
                all.join(" ")
            ))),
        }
    }
}

// === impl ContainerRun ===

impl ContainerRun {
    /// True once nothing more will be written, by the latest state of the pod (`None`: it is gone).
    pub fn has_ended(&self, pod: Option<&Pod>) -> bool {
        let same = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(&self.uid));
        let Some(status) = same.and_then(|pod| status(pod, &self.container)) else {
            return true;
        };
        let runs = status
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        status.restart_count != self.run || !runs
    }
}

fn status(pod: &Pod, container: &str) -> Option<ContainerStatus> {
    let status = pod.status.as_ref()?;
    let mut all = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .flatten();
    all.find(|status| status.name == container).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(statuses: Value) -> Pod {
        let pod = json!({"metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}], "initContainers": [{"name": "init"}]},
            "status": {"containerStatuses": statuses}});
        serde_json::from_value(pod).unwrap()
    }

    fn status(restarts: i32, state: Value) -> Value {
        json!({"name": "app", "image": "", "imageID": "", "ready": true, "restartCount": restarts, "state": state})
    }

    fn query(text: &[(&'static str, &'static str)]) -> LogQuery {
        LogQuery::parse(text.iter().copied(), Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn the_run_that_is_meant() {
        let running = pod(json!([status(2, json!({"running": {}}))]));
        let source = |words: &[(&'static str, &'static str)], pod: &Pod| {
            query(words)
                .source(pod)
                .map(|source| source.run)
                .map_err(|error| error.to_string())
        };
        assert_eq!(source(&[("container", "app")], &running), Ok(2));
        assert_eq!(
            source(&[("container", "app"), ("previous", "true")], &running),
            Ok(1)
        );
        let error = source(&[], &running).unwrap_err();
        assert!(
            error.ends_with("choose one of: [init app istio-proxy]"),
            "{error}"
        );
        let error = source(&[("container", "x")], &running).unwrap_err();
        assert_eq!(error, "container x is not valid for pod p");
        let waiting = pod(json!([status(
            0,
            json!({"waiting": {"reason": "ImageNotRunnable", "message": "how"}})
        )]));
        let error = source(&[("container", "app")], &waiting).unwrap_err();
        assert!(
            error.ends_with("is waiting to start: ImageNotRunnable: how"),
            "{error}"
        );
    }

    #[test]
    fn a_run_ends_with_its_process() {
        let source = ContainerRun {
            uid: "u".into(),
            container: "app".into(),
            run: 1,
        };
        let with = |restarts, state| pod(json!([status(restarts, state)]));
        assert!(!source.has_ended(Some(&with(1, json!({"running": {}})))));
        assert!(source.has_ended(Some(&with(2, json!({"running": {}})))));
        assert!(source.has_ended(Some(&with(1, json!({"terminated": {"exitCode": 0}})))));
        assert!(source.has_ended(None));
    }

    #[test]
    fn parameters_are_checked() {
        let parsed = query(&[
            ("tailLines", "5"),
            ("follow", "true"),
            ("sinceSeconds", "10"),
        ]);
        assert_eq!(
            (parsed.options.tail, parsed.options.follow),
            (Some(5), true)
        );
        assert_eq!(parsed.options.since.unwrap().as_second(), -10);
        for bad in [
            ("tailLines", "-1"),
            ("follow", "maybe"),
            ("sinceTime", "now"),
            ("sinceSeconds", "0"),
        ] {
            assert!(
                LogQuery::parse([bad], Timestamp::UNIX_EPOCH).is_err(),
                "{bad:?}"
            );
        }
    }
}
