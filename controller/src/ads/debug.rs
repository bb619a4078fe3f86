//! Debug types on a stream: what tools of people ask, such as `istioctl proxy-status`. Who answers is handed in, so that the streams
//! need not know what is shown.

use std::collections::VecDeque;
use std::sync::Arc;

use mesh_xds::discovery::{
    Any, ControlPlane, DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse,
    EncodedDeltaResponse, Resource,
};
use prost::Message as _;

use crate::identity::Identity;

/// Types that begin like this are for people's tools.
const PREFIXES: [&str; 2] = ["istio.io/debug", "istio.io/connections"];
/// Nonces of answers begin like this, with their number after it.
const NONCE: &str = "debug-";
/// Answers of a stream that may wait for the network.
const MOST_WAITING: usize = 16;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugRequest {
    /// The type.
    pub type_url: String,
    /// Names of resources.
    pub names: Vec<String>,
    /// The nonce of the answer that it acknowledges. istioctl sends one of its own invention with its first request.
    pub nonce: String,
}

/// Named resources.
pub type DebugAnswer = Vec<(String, Any)>;

/// Says whether a client may ask, or why not.
type Allows = dyn Fn(&Identity) -> Result<(), String> + Send + Sync;
/// Answers a request, or says what is wrong with it.
type Answers = dyn Fn(&DebugRequest) -> Result<DebugAnswer, String> + Send + Sync;

/// Answers debug requests.
pub struct DebugAnswers {
    /// Who answers, as JSON of Istio's form.
    pub identifier: String,
    /// Whether a client may ask.
    pub allows: Box<Allows>,
    /// The answer.
    pub answer: Box<Answers>,
}

/// The debug requests of one stream.
pub struct DebugExchange<R> {
    answers: Arc<DebugAnswers>,
    waiting: VecDeque<R>,
    count: u64,
}

/// Requests and responses of a variant of the protocol, as far as debug types need them.
pub trait DebugVariant {
    /// What the client sends.
    type Request;
    /// What it gets.
    type Response;

    /// The debug request in a request; none for other types.
    fn asked(request: &Self::Request) -> Option<DebugRequest>;

    /// The response with an answer.
    fn answered(
        request: &DebugRequest,
        answer: DebugAnswer,
        nonce: String,
        identifier: String,
    ) -> Self::Response;
}

// === impl DebugRequest ===

impl DebugRequest {
    fn of(type_url: &str, names: &[String], nonce: &str) -> Option<Self> {
        let is_debug = PREFIXES.iter().any(|prefix| type_url.starts_with(prefix));
        is_debug.then(|| Self {
            type_url: type_url.to_owned(),
            names: names.to_vec(),
            nonce: nonce.to_owned(),
        })
    }
}

// === impl DebugAnswers ===

impl Default for DebugAnswers {
    /// Nothing is answered.
    fn default() -> Self {
        Self {
            identifier: String::new(),
            allows: Box::new(|_| Ok(())),
            answer: Box::new(|request| Err(format!("{:?} is not served", request.type_url))),
        }
    }
}

// === impl DebugExchange ===

impl<R> DebugExchange<R> {
    /// For one stream.
    pub fn new(answers: Arc<DebugAnswers>) -> Self {
        Self {
            answers,
            waiting: VecDeque::new(),
            count: 0,
        }
    }

    /// Whether something was asked.
    pub fn is_used(&self) -> bool {
        self.count > 0
    }

    /// Takes a request of a client.
    ///
    /// # Errors
    /// When the client may not ask, asks for what there is not, or does not read its answers.
    pub fn take<V: DebugVariant<Response = R>>(
        &mut self,
        request: &DebugRequest,
        identity: Option<&Identity>,
    ) -> Result<(), tonic::Status> {
        if self.has_sent(&request.nonce) {
            return Ok(());
        }
        if let Some(identity) = identity {
            (self.answers.allows)(identity).map_err(tonic::Status::permission_denied)?;
        }
        if self.waiting.len() >= MOST_WAITING {
            let message = "too many debug requests wait for their answers to be read";
            return Err(tonic::Status::resource_exhausted(message));
        }
        self.count += 1;
        let answer = (self.answers.answer)(request).map_err(tonic::Status::invalid_argument)?;
        let identifier = self.answers.identifier.clone();
        let nonce = format!("{NONCE}{}", self.count);
        self.waiting
            .push_back(V::answered(request, answer, nonce, identifier));
        Ok(())
    }

    /// Whether a nonce is that of an answer.
    fn has_sent(&self, nonce: &str) -> bool {
        let number = nonce.strip_prefix(NONCE).map(str::parse::<u64>);
        matches!(number, Some(Ok(number)) if number <= self.count)
    }

    /// The next response.
    pub fn next(&mut self) -> Option<R> {
        self.waiting.pop_front()
    }
}

impl DebugVariant for mesh_xds::server::DeltaStream {
    type Request = DeltaDiscoveryRequest;
    type Response = EncodedDeltaResponse;

    fn asked(request: &Self::Request) -> Option<DebugRequest> {
        let DeltaDiscoveryRequest {
            type_url,
            resource_names_subscribe,
            response_nonce,
            ..
        } = request;
        DebugRequest::of(type_url, resource_names_subscribe, response_nonce)
    }

    fn answered(
        request: &DebugRequest,
        answer: DebugAnswer,
        nonce: String,
        identifier: String,
    ) -> Self::Response {
        let resource = |(name, any): (String, Any)| Resource {
            version: String::new(),
            resource: any.encode_to_vec().into(),
            name,
        };
        let resource = |answer| resource(answer).encode_to_vec().into();
        EncodedDeltaResponse {
            resources: answer.into_iter().map(resource).collect(),
            type_url: request.type_url.clone(),
            nonce,
            control_plane: Some(ControlPlane { identifier }),
            ..EncodedDeltaResponse::default()
        }
    }
}

impl DebugVariant for mesh_xds::server::SotwStream {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn asked(request: &Self::Request) -> Option<DebugRequest> {
        let DiscoveryRequest {
            type_url,
            resource_names,
            response_nonce,
            ..
        } = request;
        DebugRequest::of(type_url, resource_names, response_nonce)
    }

    fn answered(
        request: &DebugRequest,
        answer: DebugAnswer,
        nonce: String,
        identifier: String,
    ) -> Self::Response {
        let resource = |(_, any): (String, Any)| any.encode_to_vec().into();
        DiscoveryResponse {
            resources: answer.into_iter().map(resource).collect(),
            type_url: request.type_url.clone(),
            nonce,
            control_plane: Some(ControlPlane { identifier }),
            ..DiscoveryResponse::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_xds::server::{DeltaStream, SotwStream};

    use super::*;

    fn of(namespace: &str) -> Identity {
        Identity {
            namespace: namespace.to_owned(),
            service_account: "default".to_owned(),
        }
    }

    fn answers() -> Arc<DebugAnswers> {
        Arc::new(DebugAnswers {
            identifier: "{}".to_owned(),
            allows: Box::new(|identity| match identity.namespace.as_str() {
                "own" => Ok(()),
                _ => Err("no".to_owned()),
            }),
            answer: Box::new(|request| {
                let any = Any {
                    type_url: "x".to_owned(),
                    value: request.names.join(",").into(),
                };
                Ok(vec![("answer".to_owned(), any)])
            }),
        })
    }

    #[test]
    fn a_request_is_answered_once_and_only_to_those_who_may() {
        let mut exchange = DebugExchange::new(answers());
        let mut request = DiscoveryRequest {
            type_url: "istio.io/debug/syncz".to_owned(),
            ..DiscoveryRequest::default()
        };
        let asked = SotwStream::asked(&request).unwrap();
        let refused = exchange
            .take::<SotwStream>(&asked, Some(&of("other")))
            .unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        exchange
            .take::<SotwStream>(&asked, Some(&of("own")))
            .unwrap();
        let response: DiscoveryResponse = exchange.next().unwrap();
        assert_eq!(
            (response.type_url.as_str(), response.resources.len()),
            ("istio.io/debug/syncz", 1)
        );
        request.response_nonce = "2026-11-28 01:02:03 m=+0.1".to_owned();
        let asked = SotwStream::asked(&request).unwrap();
        exchange.take::<SotwStream>(&asked, None).unwrap();
        assert!(exchange.next().is_some(), "it acknowledges nothing");
        request.response_nonce = response.nonce;
        exchange
            .take::<SotwStream>(&SotwStream::asked(&request).unwrap(), None)
            .unwrap();
        assert!(exchange.next().is_none());
    }

    #[test]
    fn other_types_are_not_for_people() {
        let request = DeltaDiscoveryRequest {
            type_url: "type.googleapis.com/envoy.config.cluster.v3.Cluster".to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        assert_eq!(DeltaStream::asked(&request), None);
    }

    #[test]
    fn answers_that_nobody_reads_are_bounded() {
        let mut exchange = DebugExchange::new(answers());
        let request = DebugRequest::default();
        for _ in 0..MOST_WAITING {
            exchange.take::<SotwStream>(&request, None).unwrap();
        }
        assert!(exchange.take::<SotwStream>(&request, None).is_err());
    }
}
