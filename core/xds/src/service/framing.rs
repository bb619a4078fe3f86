//! gRPC's framing on the body of an HTTP/2 stream, made for many streams that mostly rest.
//!
//! ```text
//! responses --Outgoing--> chunks of 16 KiB, large resources as they are ~~HTTP/2~~> client
//! requests <--Requests-- chunks <~~HTTP/2~~ client
//! ```
//!
//! tonic's own framing writes each message into one buffer and keeps the largest buffer for the stream's next message: megabytes for
//! each proxy. Here a response is written while the network takes it, shared resources are sent without a copy where that pays, and
//! a stream at rest holds no buffer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::Stream;
use http_body::{Body, Frame};
use prost::Message;
use prost::encoding::{self, WireType};
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use crate::discovery::{DiscoveryResponse, EncodedDeltaResponse};

/// Largest request that is taken, in bytes. A client that resumes tells the version of everything it has.
const MAX_REQUEST: usize = 16 << 20;
/// Size of the chunks that are made.
const CHUNK: usize = 16 << 10;
/// Resources from this size on are sent without a copy.
const LARGE: usize = 4 << 10;
/// Bytes before each message: whether it is compressed, and its length.
const HEADER: usize = 5;
/// Number of the field with the resources, in both kinds of responses.
const RESOURCES: u32 = 2;

/// A response that is written resource by resource.
pub(super) trait Split: Message + Sized + Unpin {
    /// Takes the encoded resources out; the order of fields does not matter on the wire.
    fn take_resources(&mut self) -> Vec<Bytes>;
}

/// Chunks on their way, and the one that is being filled.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    ready: VecDeque<Bytes>,
    filling: BytesMut,
}

/// The body of a response stream.
#[derive(Debug)]
pub(super) struct Outgoing<S, M> {
    responses: S,
    /// What is left of the current response.
    resources: std::vec::IntoIter<Bytes>,
    chunks: Chunks,
    ended: bool,
    response: PhantomData<fn() -> M>,
}

/// The requests of one stream.
#[derive(Debug)]
pub struct Requests<T> {
    body: tonic::body::Body,
    buffer: BytesMut,
    request: PhantomData<fn() -> T>,
}

// === impl Split ===

impl Split for EncodedDeltaResponse {
    fn take_resources(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.resources)
    }
}

impl Split for DiscoveryResponse {
    fn take_resources(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.resources)
    }
}

// === impl Chunks ===

impl Chunks {
    /// Writes a field of bytes.
    fn put_bytes(&mut self, field: u32, bytes: Bytes) {
        encoding::encode_key(field, WireType::LengthDelimited, &mut self.filling);
        encoding::encode_varint(bytes.len() as u64, &mut self.filling);
        if bytes.len() < LARGE {
            self.filling.extend_from_slice(&bytes);
        } else {
            self.flush();
            self.ready.push_back(bytes);
        }
    }

    fn flush(&mut self) {
        if !self.filling.is_empty() {
            self.ready
                .push_back(std::mem::take(&mut self.filling).freeze());
        }
    }

    fn is_due(&self) -> bool {
        !self.ready.is_empty() || self.filling.len() >= CHUNK
    }
}

// === impl Outgoing ===

impl<S, M: Split> Outgoing<S, M> {
    pub(super) fn new(responses: S) -> Self {
        Self {
            responses,
            resources: Vec::new().into_iter(),
            chunks: Chunks::default(),
            ended: false,
            response: PhantomData,
        }
    }

    fn begin(&mut self, mut response: M) -> Result<(), Status> {
        let resources = response.take_resources();
        let field_len = |resource| encoding::bytes::encoded_len(RESOURCES, resource);
        let length = response.encoded_len() + resources.iter().map(field_len).sum::<usize>();
        let header = u32::try_from(length)
            .map_err(|_| Status::resource_exhausted("the response is larger than gRPC allows"))?;
        self.chunks.filling.reserve(CHUNK.min(length + HEADER));
        self.chunks.filling.put_u8(0);
        self.chunks.filling.put_u32(header);
        response
            .encode(&mut self.chunks.filling)
            .map_err(|error| Status::internal(error.to_string()))?;
        self.resources = resources.into_iter();
        Ok(())
    }

    /// The next chunk of the current response.
    fn chunk(&mut self) -> Option<Bytes> {
        while !self.chunks.is_due()
            && let Some(resource) = self.resources.next()
        {
            if self.chunks.filling.capacity() == 0 {
                self.chunks.filling.reserve(CHUNK + LARGE);
            }
            self.chunks.put_bytes(RESOURCES, resource);
        }
        if self.resources.len() == 0 {
            // What is left of it is the memory for all resources of a response.
            self.resources = Vec::new().into_iter();
        }
        if self.chunks.ready.is_empty() {
            self.chunks.flush();
        }
        self.chunks.ready.pop_front()
    }
}

impl<S, M> Body for Outgoing<S, M>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Split,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(chunk) = self.chunk() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let next = ready!(Pin::new(&mut self.responses).poll_next(cx));
            let end = match next {
                Some(Ok(response)) => match self.begin(response) {
                    Ok(()) => continue,
                    Err(status) => status,
                },
                Some(Err(status)) => status,
                None => Status::ok(""),
            };
            self.ended = true;
            let mut trailers = HeaderMap::new();
            end.add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

// === impl Requests ===

impl<T: Message + Default> Requests<T> {
    /// The requests in the body of a gRPC call.
    pub fn new(body: tonic::body::Body) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            request: PhantomData,
        }
    }

    /// The next request; none when the client has said all.
    ///
    /// # Errors
    /// When the stream breaks, or what comes is no request.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Status>> {
        loop {
            if let Some(request) = self.decode()? {
                return Poll::Ready(Ok(Some(request)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(status)) => return Poll::Ready(Err(status)),
                None if self.buffer.is_empty() => return Poll::Ready(Ok(None)),
                None => {
                    let message = "the stream ends within a request";
                    return Poll::Ready(Err(Status::internal(message)));
                }
            }
        }
    }

    /// A request that has come as a whole.
    fn decode(&mut self) -> Result<Option<T>, Status> {
        let mut header = self.buffer.get(..HEADER).unwrap_or_default();
        if header.len() < HEADER {
            return Ok(None);
        }
        if header.get_u8() != 0 {
            return Err(Status::unimplemented(
                "compressed requests are not understood",
            ));
        }
        let length = usize::try_from(header.get_u32()).unwrap_or(usize::MAX);
        if length > MAX_REQUEST {
            let message =
                format!("a request of {length} bytes is too large; {MAX_REQUEST} are allowed");
            return Err(Status::resource_exhausted(message));
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let request = T::decode(self.buffer.split_to(length))
            .map_err(|error| Status::invalid_argument(format!("this is no request: {error}")))?;
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(request))
    }
}

impl<T: Message + Default> Stream for Requests<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx).map(Result::transpose)
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use proptest::prelude::*;

    use super::*;
    use crate::resource::Entry;

    /// All data of a body.
    async fn data<M: Split>(responses: Vec<M>) -> Vec<u8> {
        let responses = stream::iter(responses.into_iter().map(Ok));
        let mut body = Box::pin(Outgoing::new(responses));
        let mut data = vec![];
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            match frame.unwrap().into_data() {
                Ok(chunk) => data.extend_from_slice(&chunk),
                Err(frame) => assert_eq!(frame.trailers_ref().unwrap()["grpc-status"], "0"),
            }
        }
        data
    }

    fn delta(sizes: &[usize]) -> EncodedDeltaResponse {
        EncodedDeltaResponse {
            nonce: "7".to_owned(),
            resources: sizes
                .iter()
                .map(|size| Entry::new(&format!("r{size}"), 1, &vec![b'x'; *size].into()).named)
                .collect(),
            removed_resources: vec!["gone".to_owned()],
            ..EncodedDeltaResponse::default()
        }
    }

    fn sotw(sizes: &[usize]) -> DiscoveryResponse {
        DiscoveryResponse {
            version_info: "3".to_owned(),
            resources: sizes.iter().map(|size| vec![b'x'; *size].into()).collect(),
            ..DiscoveryResponse::default()
        }
    }

    fn decoded<M: Message + Default>(mut data: &[u8]) -> Vec<M> {
        let mut messages = vec![];
        while data.has_remaining() {
            assert_eq!(data.get_u8(), 0);
            let length = data.get_u32() as usize;
            messages.push(M::decode(&data[..length]).unwrap());
            data.advance(length);
        }
        messages
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn responses_are_what_protobuf_says(
            sizes in proptest::collection::vec(proptest::collection::vec(0usize..20_000, 0..8), 0..4),
        ) {
            let deltas: Vec<_> = sizes.iter().map(|sizes| delta(sizes)).collect();
            prop_assert_eq!(&decoded::<EncodedDeltaResponse>(&run(data(deltas.clone()))), &deltas);
            let sotws: Vec<_> = sizes.iter().map(|sizes| sotw(sizes)).collect();
            prop_assert_eq!(&decoded::<DiscoveryResponse>(&run(data(sotws.clone()))), &sotws);
        }

        #[test]
        fn requests_come_in_any_pieces(cut in 1usize..300, count in 0usize..5) {
            let sent: Vec<EncodedDeltaResponse> = (0..count).map(|n| delta(&[n * 100])).collect();
            let bytes = run(data(sent.clone()));
            let frames = bytes.chunks(cut).map(|chunk| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(chunk))));
            let body = http_body_util::StreamBody::new(stream::iter(frames.collect::<Vec<_>>()));
            let requests = Requests::<EncodedDeltaResponse>::new(tonic::body::Body::new(body));
            let received: Vec<_> = run(requests.collect::<Vec<_>>());
            let received: Vec<_> = received.into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(received, sent);
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [
            &[1, 0, 0, 0, 0][..],
            &[0, 255, 255, 255, 255],
            &[0, 0, 0, 0, 1, 255],
            &[0, 0],
        ] {
            let body = http_body_util::Full::new(Bytes::copy_from_slice(bytes));
            let mut requests = Requests::<EncodedDeltaResponse>::new(tonic::body::Body::new(body));
            assert!(run(requests.message()).is_err(), "{bytes:?}");
        }
    }
}
