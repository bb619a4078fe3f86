//! The head of a request as it goes out: what the proxy writes into it, and what routes change.

use std::borrow::Cow;
use std::net::SocketAddr;

use mesh_ir::evaluate::Forwarding;
use mesh_ir::{Direction, ForwardClientCertificate};

use super::{Exchange, UpstreamTarget, uuid};
use crate::http1::{Fields, Known, RequestLine, write_decimal};
use crate::telemetry::metrics::OwnMetadata;
use crate::worker::edit::RequestEdit;
use crate::worker::endpoint::LocalEndpoint;
use crate::worker::stream::DownstreamStream;

// === impl Exchange ===

impl<D: DownstreamStream> Exchange<'_, D> {
    /// Computes what is written into the request: its id, the way it came, its path.
    pub(super) fn prepare(&mut self, target: UpstreamTarget<'_>) {
        self.identify();
        self.rewrite(target);
    }

    /// Computes what tells whose request it is, unless that is done.
    pub(super) fn identify(&mut self) {
        let (request, written) = (self.stream.head(), &mut *self.written);
        if std::mem::replace(&mut written.identified, true) {
            return;
        }
        let fields = request.fields();
        if fields.known(Known::RequestId).is_none() && written.request_id.is_empty() {
            let random = [self.worker.random(), self.worker.random()];
            uuid::write(&mut written.request_id, random);
        }
        if self.context.http.config.trust.use_remote_address {
            if let Some(before) = fields.joined_known(Known::ForwardedFor) {
                written.forwarded_for.extend_from_slice(&before);
                written.forwarded_for.push(b',');
            }
            write_ip(&mut written.forwarded_for, self.stream.remote());
        }
        self.tell_certificate();
    }

    /// Leaves out of the path what was taken out of its query, where the request goes nowhere: it is logged all the same.
    pub(super) fn hide_query(&mut self) {
        let (request, written) = (self.stream.head(), &mut *self.written);
        let edits = written.edits.as_ref();
        if let Some(query) = edits.and_then(|edits| edits.query.as_ref())
            && written.path.is_empty()
        {
            written.path.extend_from_slice(request.path());
            if let Some(query) = query {
                written.path.push(b'?');
                written.path.extend_from_slice(query);
            }
        }
    }

    fn rewrite(&mut self, target: UpstreamTarget<'_>) {
        let Some(forwarding) = target.forwarding else {
            return;
        };
        // Before the path and the host are rewritten, as in Envoy.
        let ops = self.substitute(forwarding.request_ops(), Fields::default(), target);
        let (request, written) = (self.stream.head(), &mut *self.written);
        written.ops = ops;
        let edited = written
            .edits
            .as_ref()
            .and_then(|edits| edits.query.as_ref());
        let path = forwarding.path(request.path());
        if path.is_some() || edited.is_some() {
            let path = path.unwrap_or(Cow::Borrowed(request.path()));
            written.path.extend_from_slice(&path);
            let query = match edited {
                Some(query) => query.as_deref(),
                None => request.query(),
            };
            if let Some(query) = query {
                written.path.push(b'?');
                written.path.extend_from_slice(query);
            }
        }
    }

    /// Whether `x-forwarded-client-cert` goes on as it came: only a client that has proven who it is may speak for others.
    fn forwards_certificate(&self) -> bool {
        use ForwardClientCertificate::{
            AlwaysForward, AppendForward, Forward, Sanitize, SanitizeSet,
        };
        match self.context.http.config.trust.client_certificate {
            AlwaysForward => true,
            Forward => self.is_mutual(),
            AppendForward | Sanitize | SanitizeSet => false,
        }
    }

    fn is_mutual(&self) -> bool {
        self.stream.tls().is_some_and(|tls| tls.facts.is_mutual())
    }

    /// Computes what is told of the client's certificate.
    fn tell_certificate(&mut self) {
        let trust = self.context.http.config.trust;
        let appends = match trust.client_certificate {
            ForwardClientCertificate::AppendForward => true,
            ForwardClientCertificate::SanitizeSet => false,
            _ => return,
        };
        let Some(tls) = self.stream.tls() else {
            return;
        };
        let Some(element) = tls.facts.forwarded(trust.certificate_details) else {
            return;
        };
        let (request, written) = (self.stream.head(), &mut *self.written);
        if appends && let Some(before) = request.fields().joined_known(Known::ForwardedClientCert) {
            written.client_certificate.extend_from_slice(&before);
            written.client_certificate.push(b',');
        }
        written
            .client_certificate
            .extend_from_slice(element.as_bytes());
    }

    /// What the proxy of an endpoint is told of this one, where it has one.
    pub(super) fn told_to(&self, endpoint: &LocalEndpoint) -> Option<&OwnMetadata> {
        let is_told = self.context.direction == Direction::Outbound && endpoint.offers_mtls;
        let own = self.worker.shared.options.metadata.as_deref();
        own.filter(|_| is_told)
    }

    /// The head that goes out.
    pub(super) fn outgoing<'e>(
        &'e self,
        forwarding: Option<Forwarding<'e>>,
    ) -> (RequestLine<'e>, RequestEdit<'e>) {
        let (request, written) = (self.stream.head(), &*self.written);
        let rewritten = !written.path.is_empty();
        let host = forwarding.and_then(|forwarding| forwarding.host());
        let edge = self.context.http.config.trust.use_remote_address;
        let proto = edge || request.fields().known(Known::ForwardedProto).is_none();
        let endpoint = self.info.endpoint.as_deref();
        let edit = RequestEdit {
            policies: written.edits.as_deref(),
            ops: match (&written.ops, forwarding) {
                (Some(ops), _) => ops.each_ref().map(Some),
                (None, Some(forwarding)) => forwarding.request_ops(),
                (None, None) => [None; 2],
            },
            request_id: Some(&*written.request_id).filter(|id| !id.is_empty()),
            forwarded_for: edge.then_some(&*written.forwarded_for),
            forwards_certificate: self.forwards_certificate(),
            client_certificate: Some(&*written.client_certificate).filter(|text| !text.is_empty()),
            forwarded_proto: proto.then(|| request.scheme()),
            original_path: (rewritten && !written.hides_query()).then(|| request.path_and_query()),
            attempt: (self.context.direction == Direction::Outbound).then_some(self.info.attempts),
            metadata: endpoint.and_then(|endpoint| self.told_to(endpoint)),
            trace: self.trace.as_deref().filter(|trace| trace.replaces),
        };
        let line = RequestLine {
            path: if rewritten {
                &written.path
            } else {
                request.path_and_query()
            },
            query: None,
            host: host.map_or(request.authority(), str::as_bytes),
        };
        (line, edit)
    }
}

fn write_ip(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            let [first, rest @ ..] = address.ip().octets();
            write_decimal(out, first.into());
            for part in rest {
                out.push(b'.');
                write_decimal(out, part.into());
            }
        }
        SocketAddr::V6(address) => {
            let text = address.ip().to_canonical().to_string();
            out.extend_from_slice(text.as_bytes());
        }
    }
}
