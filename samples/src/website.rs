//! A website in three versions that differ in colour, for canaries that one sees at a glance.

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};

use crate::config::Config;
use crate::encoding::escape;
use crate::handler::{Call, Handler, Reply, html, method_not_allowed, not_found, text, versioned};

const STYLE: &str = "\
html{height:100%}\
body{margin:0;min-height:100%;display:grid;place-items:center;color:#fff;\
font:18px/1.5 system-ui,sans-serif}\
main{text-align:center;padding:2rem}\
h1{font-size:clamp(2rem,8vw,5rem);margin:0;line-height:1.1}\
p{opacity:.85}";

pub(crate) struct Website {
    version: String,
    page: String,
}

impl Website {
    /// Version `number` (1 to 3) in its own colour.
    pub(crate) fn new(config: &Config, number: u8) -> Website {
        let (colour, code) = match number {
            1 => ("blue", "#1d4ed8"),
            2 => ("green", "#15803d"),
            _ => ("orange", "#c2410c"),
        };
        let pod = config.pod_name();
        Website {
            version: config.version(&format!("v{number}")),
            page: format!(
                "<!DOCTYPE html>\n\
                 <html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <title>Website version {number}</title>\n\
                 <style>{STYLE}body{{background:{code}}}</style>\n</head>\n\
                 <body>\n<main>\n<h1>Website version {number}</h1>\n\
                 <p>The {colour} one, served by {pod}</p>\n</main>\n</body>\n</html>\n",
                pod = escape(&pod),
            ),
        }
    }
}

impl Handler for Website {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move {
            if call.method() != Method::GET {
                return method_not_allowed("GET, HEAD");
            }
            match call.request.uri().path() {
                "/" | "/index.html" => {
                    versioned(html(StatusCode::OK, self.page.clone()), &self.version)
                }
                "/health" => text(StatusCode::OK, "Website is healthy\n"),
                _ => not_found(),
            }
        }
        .boxed()
    }
}
