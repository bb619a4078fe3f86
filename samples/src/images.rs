//! Which program stands in for which container image.
//!
//! Registry and tag do not matter, except where the tag is what tells programs apart. So public YAML
//! runs as it is, from whatever mirror and in whatever version it names its images.

/// Repository endings and the program behind them. An entry matches whole path components from the
/// right: `examples-bookinfo-details-v1` matches `docker.io/istio/examples-bookinfo-details-v1`.
const BY_REPOSITORY: &[(&str, &str)] = &[
    ("examples-bookinfo-productpage-v1", "productpage"),
    ("examples-bookinfo-details-v1", "details"),
    ("examples-bookinfo-details-v2", "details"),
    ("examples-bookinfo-reviews-v1", "reviews-v1"),
    ("examples-bookinfo-reviews-v2", "reviews-v2"),
    ("examples-bookinfo-reviews-v3", "reviews-v3"),
    ("examples-bookinfo-ratings-v1", "ratings"),
    ("examples-bookinfo-ratings-v2", "ratings"),
    ("examples-helloworld-v1", "helloworld-v1"),
    ("examples-helloworld-v2", "helloworld-v2"),
    // hello or world: its arguments say which.
    ("buoyantio/helloworld", "hello"),
    // The public httpbins listen on different ports.
    ("kennethreitz/httpbin", "httpbin"),
    ("kong/httpbin", "httpbin"),
    ("citizenstig/httpbin", "httpbin-8000"),
    ("mccutchen/go-httpbin", "httpbin-8080"),
    ("examples-bookinfo-mongodb", "mongodb"),
    ("examples-bookinfo-mysqldb", "mysqldb"),
    ("tcp-echo-server", "tcp-echo"),
    ("hiroakis/tornado-websocket-example", "websockets"),
    ("fortio/fortio", "fortio"),
    // Tools to send requests by; their pods sleep.
    ("curlimages/curl", "sleep"),
    ("governmentpaas/curl-ssl", "sleep"),
    ("pstauffer/curl", "sleep"),
    ("istio-testing/ext-authz", "ext-authz"),
    ("istio/ext-authz", "ext-authz"),
    ("testing/ext-authz", "ext-authz"),
];

/// Repositories whose tag names the program.
const BY_TAG: &[(&str, &str, &str)] = &[
    ("health", "example", "health"),
    ("kublr/kublr-tutorial-images", "v1", "website-v1"),
    ("kublr/kublr-tutorial-images", "v2", "website-v2"),
    ("kublr/kublr-tutorial-images", "v3", "website-v3"),
];

/// Our own images are `meshctl/samples-NAME`, NAME being the program.
const OWN: &str = "meshctl/samples-";

/// The images that the bundles name, and our own ones below a registry's path, each with its program.
pub fn images(hub: &str, tag: &str) -> Vec<(String, &'static str)> {
    let lines = crate::BUNDLES.iter().flat_map(|bundle| bundle.yaml.lines());
    let named = lines.filter_map(|line| line.trim_start().strip_prefix("image: "));
    let mut all: Vec<_> = named
        .filter_map(|image| Some((image.to_owned(), program_for_image(image)?)))
        .collect();
    let own = crate::names().iter();
    all.extend(own.map(|name| (format!("{hub}/samples-{name}:{tag}"), *name)));
    all.sort_unstable();
    all.dedup();
    all
}

/// The program that runs a container of `image`, if it is one of the known sample images. The
/// container's arguments go to the program as they are.
pub fn program_for_image(image: &str) -> Option<&'static str> {
    let without_digest = image.split('@').next().unwrap_or(image);
    let (repository, tag) = match without_digest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (without_digest, "latest"),
    };
    let tagged = BY_TAG
        .iter()
        .find(|(ending, of_tag, _)| ends_with(repository, ending) && *of_tag == tag)
        .map(|(_, _, program)| *program);
    let named = || {
        BY_REPOSITORY
            .iter()
            .find(|(ending, _)| ends_with(repository, ending))
            .map(|(_, program)| *program)
    };
    let own = || {
        let (_, name) = repository.rsplit_once(OWN)?;
        let known = crate::names().iter().find(|known| **known == name)?;
        ends_with(repository, &format!("{OWN}{name}")).then_some(*known)
    };
    tagged.or_else(named).or_else(own)
}

fn ends_with(repository: &str, ending: &str) -> bool {
    let Some(before) = repository.strip_suffix(ending) else {
        return false;
    };
    before.is_empty() || before.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_images_of_any_registry_and_tag() {
        for (image, program) in [
            (
                "docker.io/istio/examples-bookinfo-reviews-v3:1.20.3",
                "reviews-v3",
            ),
            ("istio/examples-bookinfo-reviews-v2", "reviews-v2"),
            ("localhost:5000/examples-bookinfo-details-v1", "details"),
            (
                "r.io:5000/x/examples-bookinfo-ratings-v2:1@sha256:00",
                "ratings",
            ),
            ("examples-bookinfo-productpage-v1:0.2.3", "productpage"),
            ("kublr/kublr-tutorial-images:v2", "website-v2"),
            ("docker.io/kublr/kublr-tutorial-images:v3", "website-v3"),
            ("buoyantio/helloworld:0.1.4", "hello"),
            (
                "docker.io/istio/examples-helloworld-v2:1.0",
                "helloworld-v2",
            ),
            ("docker.io/kennethreitz/httpbin", "httpbin"),
            ("docker.io/mccutchen/go-httpbin:v2.15.0", "httpbin-8080"),
            ("istio/examples-bookinfo-mongodb:1.20.3", "mongodb"),
            ("docker.io/istio/tcp-echo-server:1.3", "tcp-echo"),
            ("registry.istio.io/release/tcp-echo-server:1.3", "tcp-echo"),
            ("registry.istio.io/testing/ext-authz:latest", "ext-authz"),
            ("registry.istio.io/release/health:example", "health"),
            ("docker.io/hiroakis/tornado-websocket-example", "websockets"),
            ("fortio/fortio:latest_release", "fortio"),
            ("meshctl/samples-world-v2:0.1.0", "world-v2"),
        ] {
            assert_eq!(program_for_image(image), Some(program), "{image}");
        }
    }

    #[test]
    fn other_images_are_nobodys() {
        for image in [
            "",
            ":",
            "nginx",
            "health",
            "kublr/kublr-tutorial-images",
            "kublr/kublr-tutorial-images:v4",
            "my-examples-bookinfo-details-v1",
            "xmeshctl/samples-echo",
            "meshctl/samples-nothing",
            "meshctl/samples-",
            "httpbin",
        ] {
            assert_eq!(program_for_image(image), None, "{image}");
        }
    }

    #[test]
    fn every_entry_names_a_program() {
        let tagged = BY_TAG.iter().map(|(_, _, program)| program);
        let named = BY_REPOSITORY.iter().map(|(_, program)| program);
        for program in tagged.chain(named) {
            assert!(crate::names().contains(program), "{program}");
        }
    }
}
