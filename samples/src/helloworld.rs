//! Istio's helloworld: `/hello` names the version and the pod that answered.

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};

use crate::config::Config;
use crate::handler::{Call, Handler, Reply, method_not_allowed, not_found, text, versioned};

pub(crate) struct HelloWorld {
    version: String,
    answer: String,
}

impl HelloWorld {
    pub(crate) fn new(config: &Config, version: &str) -> HelloWorld {
        let version = config.version(version);
        let pod = config.pod_name();
        HelloWorld {
            answer: format!("Hello version: {version}, instance: {pod}\n"),
            version,
        }
    }
}

impl Handler for HelloWorld {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move {
            if call.method() != Method::GET {
                return method_not_allowed("GET, HEAD");
            }
            match call.request.uri().path() {
                "/hello" => versioned(text(StatusCode::OK, self.answer.clone()), &self.version),
                "/health" => text(StatusCode::OK, "Helloworld is healthy\n"),
                _ => not_found(),
            }
        }
        .boxed()
    }
}
