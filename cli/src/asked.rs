//! A request as it is written on a command line: method, URL and headers. The path stays as it is written: what is done to it is for
//! proxies to decide.

use http::Uri;
use http::uri::{InvalidUri, Scheme};
use mesh_ir::matching::PlainRequest;

use crate::failure;

/// A request, and where its connection goes.
#[derive(Debug)]
pub struct Asked {
    pub request: PlainRequest,
    /// In lower case.
    pub host: String,
    /// 80 or 443 by the scheme where none is written.
    pub port: u16,
    pub is_tls: bool,
}

// === impl Asked ===

impl Asked {
    /// Reads it. Without a scheme http is meant; the header `Host` takes the place of the URL's host in the request.
    pub fn parse(method: &str, url: &str, headers: &[String]) -> anyhow::Result<Self> {
        let wrong = |why: &str| failure::usage(format!("{url:?} is no URL of a request: {why}"));
        let text = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let uri: Uri = text.parse().map_err(|error: InvalidUri| {
            failure::advise(
                wrong(&error.to_string()),
                "write it as http://HOST[:PORT]/PATH",
            )
        })?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong("its scheme is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        let method: http::Method = method
            .parse()
            .map_err(|_| failure::usage(format!("{method:?} is no method")))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = PlainRequest {
            method: method.to_string(),
            scheme: uri.scheme_str().unwrap_or("http").to_owned(),
            ..PlainRequest::get(authority.as_str(), path)
        };
        for header in headers {
            let (name, value) = header.split_once(':').ok_or_else(|| {
                failure::usage(format!("{header:?} is no header: use 'NAME: VALUE'"))
            })?;
            if name.eq_ignore_ascii_case("host") {
                value.trim().clone_into(&mut request.authority);
            } else {
                request = request.with_header(name.trim(), value.trim());
            }
        }
        Ok(Self {
            request,
            host: authority.host().to_ascii_lowercase(),
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn paths_stay_as_they_are_written() {
        let headers = ["Host: other".to_owned(), "X-User:  jason ".to_owned()];
        let asked = Asked::parse("GET", "web:8080/a/../b?c", &headers).unwrap();
        assert_eq!(asked.request.path, "/a/../b");
        assert_eq!(asked.request.query.as_deref(), Some("c"));
        assert_eq!((asked.host.as_str(), asked.port), ("web", 8080));
        assert_eq!(asked.request.authority, "other");
        assert_eq!(asked.request.headers["x-user"], ["jason"]);
        assert_eq!(Asked::parse("GET", "https://web", &[]).unwrap().port, 443);
    }
}
