//! What the agent asks the application: its probes, and its metrics.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use tokio::net::TcpStream;

use super::State;
use super::page::Page;
use super::pages;
use crate::bootstrap::{AppMetrics, Probe, ProbeAction};
use crate::http_client;

/// Limit for the application's metrics.
const SCRAPE_LIMIT: Duration = Duration::from_secs(5);

/// Largest answer of the application that is taken.
const MAX_BODY: usize = 32 << 20;

/// The proxy's metrics, and the application's if there are any. When those fail the proxy's are still there, and a metric tells.
pub(super) async fn metrics(state: &State) -> Page {
    let mut page = pages::prometheus(state);
    let Some(AppMetrics { port, path }) = &state.bootstrap.app_metrics else {
        return page;
    };
    let accept = [("accept".to_owned(), "text/plain".to_owned())];
    let scraping = get(app(state, *port), path, &accept);
    let scraped = tokio::time::timeout(SCRAPE_LIMIT, scraping).await;
    let mut body = Vec::from(page.body);
    let failed = match scraped {
        Ok(Ok((status, text))) if status.is_success() => {
            body.extend_from_slice(&text);
            if !text.ends_with(b"\n") {
                body.push(b'\n');
            }
            0
        }
        other => {
            tracing::warn!(port, path, outcome = ?other.map(|it| it.map(|(status, _)| status)), "failed to get the application's metrics");
            1
        }
    };
    let gauge =
        format!("# TYPE mesh_agent_scrape_failed gauge\nmesh_agent_scrape_failed {failed}\n");
    body.extend_from_slice(gauge.as_bytes());
    page.body = body.into();
    page
}

/// One of the application's own probes.
pub(super) async fn probe(state: &State, path: &str) -> Page {
    let Some(Probe { action, timeout }) = state.bootstrap.probes.get(path) else {
        return Page::error(
            StatusCode::NOT_FOUND,
            format!("the application has no probe {path}"),
        );
    };
    let outcome = tokio::time::timeout(*timeout, run(state, action)).await;
    match outcome {
        Ok(Ok(status)) => Page {
            status,
            ..Page::text("")
        },
        Ok(Err(reason)) => Page::error(StatusCode::INTERNAL_SERVER_ERROR, reason),
        Err(_) => Page::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("no answer within {} s", timeout.as_secs()),
        ),
    }
}

async fn run(state: &State, action: &ProbeAction) -> Result<StatusCode, String> {
    match action {
        ProbeAction::Http {
            port,
            path,
            headers,
        } => {
            let (status, _) = get(app(state, *port), path, headers).await?;
            Ok(status)
        }
        ProbeAction::Tcp { port } => connect(app(state, *port)).await.map(|_| StatusCode::OK),
        ProbeAction::Unsupported(what) => Err(format!("this agent cannot run {what}")),
    }
}

fn app(state: &State, port: u16) -> SocketAddr {
    let network = &state.bootstrap.network;
    let address = SocketAddr::new(network.app, port);
    network.view.at_socket(address)
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("failed to connect to {address}: {error}"))
}

/// A GET request over a connection of its own.
async fn get(
    address: SocketAddr,
    path: &str,
    headers: &[(String, String)],
) -> Result<(StatusCode, Bytes), String> {
    let failed = |error: &dyn std::fmt::Display| format!("GET {path} of {address}: {error}");
    let stream = connect(address).await?;
    let mut request = Request::get(path);
    let own_host = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !own_host {
        request = request.header(header::HOST, address.to_string());
    }
    request = request.header(header::USER_AGENT, "mesh-proxy");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let exchanged = http_client::exchange(stream, request, MAX_BODY).await;
    exchanged.map_err(|error| failed(&error))
}
