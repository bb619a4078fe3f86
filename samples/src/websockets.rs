//! `websockets`: a page whose clients hear of each other over WebSocket, as the tutorial's chat of that name.
//!
//! ```text
//! client --text over /ws--> channel --to every client of /ws
//! GET /api?id=..&value=..-----^
//! ```

use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::broadcast;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::encoding::pairs;
use crate::handler::{Call, Handler, Reply, html, method_not_allowed, not_found, text};

/// Messages kept for clients that read slowly; who falls further behind misses the oldest.
const BACKLOG: usize = 64;

/// The largest message of a client.
const MAX_MESSAGE: usize = 64 << 10;

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>WebSocket sample</title></head><body>\n\
    <h1>WebSocket sample</h1>\n<form><input autofocus><button>Send</button></form>\n<ul></ul>\n<script>\n\
    const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';\n\
    const socket = new WebSocket(scheme + location.host + '/ws');\n\
    const show = text => { const item = document.createElement('li'); item.textContent = text; \
    document.querySelector('ul').append(item); };\n\
    socket.onmessage = event => show(event.data);\n\
    socket.onclose = () => show('(the connection has ended)');\n\
    document.querySelector('form').onsubmit = event => { event.preventDefault(); \
    const input = document.querySelector('input'); socket.send(input.value); input.value = ''; };\n\
    </script></body></html>\n";

pub(crate) struct WebSockets {
    said: broadcast::Sender<String>,
}

// === impl WebSockets ===

impl WebSockets {
    pub(crate) fn new() -> WebSockets {
        WebSockets {
            said: broadcast::Sender::new(BACKLOG),
        }
    }

    /// Goes over to WebSocket, or says what is wrong with the request (RFC 6455, section 4.2.1).
    fn open(&self, mut request: Request<Incoming>) -> Reply {
        let accept = match handshake(request.headers()) {
            Ok(accept) => accept,
            Err(wrong) => return text(StatusCode::BAD_REQUEST, wrong),
        };
        tokio::spawn(converse(
            hyper::upgrade::on(&mut request),
            self.said.clone(),
        ));
        let mut reply = Reply::default();
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = reply.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        reply
    }

    /// Tells all clients of a value; those of the table on the page of the public program.
    fn tell(&self, query: &str) -> Reply {
        let value = |name: &str| {
            let found = pairs(query).find(|(known, _)| known == name);
            found.map(|(_, value)| value).unwrap_or_default()
        };
        let event = json!({"id": value("id"), "value": value("value")});
        // Nobody may be listening.
        let _ = self.said.send(event.to_string());
        text(StatusCode::OK, "told\n")
    }
}

impl Handler for WebSockets {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move {
            if call.method() != Method::GET {
                return method_not_allowed("GET, HEAD");
            }
            let segments = call.segments();
            let path: Vec<&str> = segments.iter().map(String::as_str).collect();
            match path.as_slice() {
                [] => html(StatusCode::OK, PAGE.to_owned()),
                ["ws"] => self.open(call.request),
                ["api"] => self.tell(call.request.uri().query().unwrap_or_default()),
                ["health"] => text(StatusCode::OK, "healthy\n"),
                _ => not_found(),
            }
        }
        .boxed()
    }
}

/// The answer to the client's key.
fn handshake(headers: &HeaderMap) -> Result<HeaderValue, &'static str> {
    let lists = |name, word: &str| {
        let lines = headers.get_all(name).iter();
        let mut words = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    if !lists(CONNECTION, "upgrade") || !lists(UPGRADE, "websocket") {
        return Err(
            "this path is for WebSocket: connection: upgrade and upgrade: websocket are missing\n",
        );
    }
    if !lists(SEC_WEBSOCKET_VERSION, "13") {
        return Err("only version 13 of WebSocket is spoken here\n");
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .ok_or("sec-websocket-key is missing\n")?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| "sec-websocket-key is wrong\n")
}

/// Passes messages on in both directions until the client goes.
async fn converse(upgrade: OnUpgrade, said: broadcast::Sender<String>) {
    let upgraded: Upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "the connection did not go over to WebSocket");
            return;
        }
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let mut heard = said.subscribe();
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => drop(said.send(text.to_string())),
                // Pings are answered by the library, which ends the stream after a close as well.
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            event = heard.recv() => match event {
                Ok(event) => if socket.send(Message::text(event)).await.is_err() {
                    return;
                },
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_as_the_rfc_has_it() {
        let headers = |lines: &[(&'static str, &'static str)]| {
            let lines = lines.iter().map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            lines.collect::<HeaderMap>()
        };
        let whole = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert_eq!(
            handshake(&headers(&whole)).unwrap(),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        for missing in 0..whole.len() {
            let mut lines = whole.to_vec();
            lines.remove(missing);
            assert!(handshake(&headers(&lines)).is_err(), "{}", whole[missing].0);
        }
    }
}
