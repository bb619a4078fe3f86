//! The files of the samples are right by themselves.

use std::path::{Path, PathBuf};

use crate::place::{Place, repository};

/// Every file of YAML below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the samples are there");
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => files(&path),
            Some(extension) if extension == "yaml" => vec![path],
            _ => Vec::new(),
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_file_is_valid() {
    let all = files(Path::new(&repository("samples")));
    assert!(all.len() > 60, "{}", all.len());
    let place = Place::new();
    let flags = all
        .iter()
        .flat_map(|path| ["-f".to_owned(), path.display().to_string()]);
    let words: Vec<String> = std::iter::once("validate".to_owned())
        .chain(flags)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place.run(&words).ends(0);
}

#[test]
fn what_tutorials_name_is_where_they_name_it() {
    for path in [
        "bookinfo/platform/kube/bookinfo.yaml",
        "bookinfo/kube/cleanup.sh",
        "bookinfo/platform/kube/bookinfo-db.yaml",
        "bookinfo/platform/kube/bookinfo-mysql.yaml",
        "bookinfo/platform/kube/bookinfo-ratings-v2.yaml",
        "bookinfo/platform/kube/bookinfo-ratings-v2-mysql.yaml",
        "bookinfo/platform/kube/cleanup.sh",
        "bookinfo/networking/bookinfo-gateway.yaml",
        "bookinfo/networking/destination-rule-all.yaml",
        "bookinfo/networking/destination-rule-all-mtls.yaml",
        "bookinfo/networking/virtual-service-all-v1.yaml",
        "bookinfo/networking/virtual-service-reviews-50-v3.yaml",
        "bookinfo/networking/virtual-service-reviews-test-v2.yaml",
        "bookinfo/networking/virtual-service-ratings-test-delay.yaml",
        "bookinfo/networking/virtual-service-ratings-test-abort.yaml",
        "bookinfo/gateway-api/bookinfo-gateway.yaml",
        "helloworld/helloworld.yaml",
        "helloworld/helloworld-gateway.yaml",
        "httpbin/httpbin.yaml",
        "httpbin/httpbin-gateway.yaml",
        "httpbin/sample-client/fortio-deploy.yaml",
        "sleep/sleep.yaml",
        "curl/curl.yaml",
        "tcp-echo/tcp-echo.yaml",
        "tcp-echo/tcp-echo-services.yaml",
    ] {
        assert!(
            Path::new(&repository(&format!("samples/{path}"))).is_file(),
            "{path}"
        );
    }
}
