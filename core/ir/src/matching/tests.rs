//! Route matching against Envoy's rules: paths, headers, query parameters, domains, rewrites.

use std::num::NonZeroU16;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::evaluate::{Tokens, VerifiedToken};
use crate::policy::StringPattern;
use crate::*;

fn forward(cluster: &str) -> RouteAction {
    RouteAction::Forward(Forward::to(Target::Cluster(cluster.into())))
}

fn route(name: &str, path: PathMatch) -> Route {
    let matcher = RouteMatch {
        path,
        ..RouteMatch::everything()
    };
    Route {
        name: name.into(),
        ..Route::new(matcher, forward(name))
    }
}

fn any() -> PathMatch {
    PathMatch::Prefix("/".into())
}

fn with_header(mut route: Route, name: &str, value: ValueMatch, invert: bool) -> Route {
    route.matcher.headers.push(HeaderMatch {
        name: name.into(),
        value,
        invert,
    });
    route
}

fn with_query(mut route: Route, name: &str, value: ValueMatch) -> Route {
    route.matcher.query.push(QueryMatch {
        name: name.into(),
        value,
    });
    route
}

fn exact(text: &str) -> ValueMatch {
    ValueMatch::Text(StringMatch::Exact(text.into()))
}

fn regex(text: &str) -> ValueMatch {
    ValueMatch::Text(StringMatch::Regex(text.into()))
}

fn host(name: &str, domains: &[&str], routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|domain| (*domain).into()).collect(),
        routes,
    }
}

fn compile(virtual_hosts: Vec<VirtualHost>) -> (RouteTable, Vec<InvalidRoute>) {
    RouteTable::compile(Arc::new(RouteConfig {
        name: "test".into(),
        virtual_hosts: virtual_hosts.into_iter().map(Arc::new).collect(),
        discovers_virtual_hosts: false,
        ignore_port_in_host: true,
    }))
}

fn table(routes: Vec<Route>) -> RouteTable {
    let (table, invalid) = compile(vec![host("all", &["*"], routes)]);
    assert_eq!(invalid, []);
    table
}

#[track_caller]
fn check(table: &RouteTable, request: &PlainRequest, expect: &str) {
    let name = table
        .route(request)
        .map_or("-", |matched| &*matched.route.name);
    assert_eq!(name, expect, "{request:?}");
}

fn get(path: &str) -> PlainRequest {
    PlainRequest::get("example", path)
}

#[test]
fn domains_are_searched_from_exact_to_any() {
    let (table, invalid) = compile(vec![
        host("any", &["*"], vec![route("any", any())]),
        host("com", &["*.com"], vec![route("com", any())]),
        host("long", &["*.example.com"], vec![route("long", any())]),
        host("dash", &["*-x.example.com"], vec![route("dash", any())]),
        host("prefix", &["www.*"], vec![route("prefix", any())]),
        host(
            "exact",
            &["www.example.com", "[::1]"],
            vec![route("exact", any())],
        ),
    ]);
    assert_eq!(invalid, []);
    for (authority, expect) in [
        ("www.example.com", "exact"),
        ("WWW.Example.COM:8080", "exact"),
        ("[::1]", "exact"),
        ("[::1]:80", "exact"),
        ("a.example.com", "long"),
        ("a-x.example.com", "dash"),
        ("-x.example.com", "long"),
        ("a.com", "com"),
        (".com", "any"),
        ("www.org", "prefix"),
        ("www.", "any"),
        ("org", "any"),
        ("", "any"),
    ] {
        check(&table, &PlainRequest::get(authority, "/"), expect);
    }
    let long = "x".repeat(1000) + ".COM:1";
    check(&table, &PlainRequest::get(&long, "/"), "com");
}

#[test]
fn the_port_counts_unless_ignored() {
    let (table, _) = RouteTable::compile(Arc::new(RouteConfig {
        name: "test".into(),
        virtual_hosts: vec![host("a", &["a:80"], vec![route("a", any())]).into()],
        discovers_virtual_hosts: false,
        ignore_port_in_host: false,
    }));
    check(&table, &PlainRequest::get("A:80", "/"), "a");
    check(&table, &PlainRequest::get("a", "/"), "-");
    check(&table, &PlainRequest::get("a:81", "/"), "-");
}

#[test]
fn the_first_route_that_matches_is_taken() {
    let table = table(vec![
        route("exact", PathMatch::Exact("/a/b".into())),
        route("segment", PathMatch::SegmentPrefix("/a".into())),
        route("regex", PathMatch::Regex("/[0-9]+|/x".into())),
        route("prefix", PathMatch::Prefix("/p".into())),
    ]);
    for (path, expect) in [
        ("/a/b?c=d", "exact"),
        ("/a/b/", "segment"),
        ("/a", "segment"),
        ("/ab", "-"),
        ("/12", "regex"),
        ("/12/", "-"),
        ("/xy", "-"),
        ("/pq", "prefix"),
        ("/P", "-"),
        ("", "-"),
    ] {
        check(&table, &get(path), expect);
    }
}

#[test]
fn case_is_ignored_on_request() {
    let mut prefix = route("prefix", PathMatch::Prefix("/Foo".into()));
    prefix.matcher.case_sensitive = false;
    let table = table(vec![prefix]);
    check(&table, &get("/fOOd"), "prefix");
    check(&table, &get("/fo"), "-");
}

#[test]
fn headers_match_by_value_presence_and_absence() {
    let jason = with_header(route("jason", any()), "end-user", exact("jason"), false);
    let post = with_header(route("post", any()), ":method", exact("POST"), false);
    let present = with_header(
        route("present", any()),
        "x-debug",
        ValueMatch::Present,
        false,
    );
    let not_a = with_header(route("not a", any()), "x", exact("a"), true);
    let host = with_header(route("host", any()), "host", regex("exam.*"), false);
    let table = table(vec![jason, post, present, not_a, host]);
    check(&table, &get("/").with_header("End-User", "jason"), "jason");
    check(&table, &get("/").with_header("x-debug", ""), "present");
    let mut request = get("/").with_header("x", "a");
    check(&table, &request, "host");
    request.method = "POST".into();
    check(&table, &request, "post");
    check(&table, &get("/"), "not a");
    check(
        &table,
        &get("/").with_header("x", "a").with_header("x", "b"),
        "not a",
    );
}

#[test]
fn absence_is_presence_inverted() {
    let absent = with_header(route("absent", any()), "x", ValueMatch::Present, true);
    let empty = with_header(route("not empty", any()), "y", exact(""), true);
    let table = table(vec![absent, empty]);
    check(&table, &get("/"), "absent");
    check(&table, &get("/").with_header("x", ""), "-");
    let request = get("/").with_header("x", "").with_header("y", "z");
    check(&table, &request, "not empty");
}

#[test]
fn query_parameters_match_by_their_first_value() {
    let table = table(vec![
        with_query(route("a1", any()), "a", exact("1")),
        with_query(route("b", any()), "b", ValueMatch::Present),
    ]);
    check(&table, &get("/?x&a=1&a=2"), "a1");
    check(&table, &get("/?a=2&a=1"), "-");
    check(&table, &get("/?b"), "b");
    check(&table, &get("/?bb"), "-");
    check(&table, &get("/"), "-");
}

#[test]
fn perl_classes_are_ascii_and_other_letters_still_work() {
    let table = table(vec![
        route("word", PathMatch::Regex(r"/\w+".into())),
        route("letters", PathMatch::Regex(r"/\pL+".into())),
    ]);
    check(&table, &get("/abc"), "word");
    check(&table, &get("/äöü"), "letters");
    check(&table, &get("/ä1"), "-");
}

#[test]
fn a_bad_expression_rejects_only_its_route() {
    for bad in ["(", "a)|(b", r"(\w{1000}){1000}", "(?<=a)b", "(?x)a # b"] {
        let (table, invalid) = compile(vec![host(
            "all",
            &["*"],
            vec![
                route("bad", PathMatch::Regex(bad.into())),
                route("good", any()),
            ],
        )]);
        assert_eq!(invalid.len(), 1, "{bad}");
        let matched = table.route(&get("/")).unwrap();
        assert_eq!((matched.route_index, &*matched.route.name), (1, "good"));
        assert!(table.at(0, 0).is_none());
        assert_eq!(&*table.at(0, 1).unwrap().route.name, "good");
    }
}

#[test]
fn a_domain_belongs_to_the_first_host_that_names_it() {
    let (table, invalid) = compile(vec![
        host("one", &["a", "*"], vec![route("one", any())]),
        host("two", &["A", "b", "*"], vec![route("two", any())]),
    ]);
    assert_eq!(invalid.len(), 2);
    check(&table, &PlainRequest::get("a", "/"), "one");
    check(&table, &PlainRequest::get("b", "/"), "two");
}

#[track_caller]
fn check_rewrite(rewrite: PathRewrite, matcher: PathMatch, path: &str, expect: &str) {
    let rewriter = Rewriter::new(&rewrite, &matcher).unwrap();
    let new = rewriter.apply(path.as_bytes());
    assert_eq!(String::from_utf8_lossy(&new), expect);
}

#[test]
fn paths_are_rewritten() {
    let prefix = || PathRewrite::Prefix("/new".into());
    check_rewrite(
        prefix(),
        PathMatch::Prefix("/old".into()),
        "/old/x",
        "/new/x",
    );
    check_rewrite(
        prefix(),
        PathMatch::SegmentPrefix("/old".into()),
        "/old",
        "/new",
    );
    check_rewrite(prefix(), PathMatch::Exact("/old".into()), "/old", "/new");
    check_rewrite(prefix(), PathMatch::Regex(".*".into()), "/a/b", "/new");
    check_rewrite(PathRewrite::Full("/all".into()), any(), "/a/b", "/all");
    let swap = PathRewrite::Regex {
        pattern: "/([a-z]+)/([a-z]+)".into(),
        substitution: r"/\2/\1\\".into(),
    };
    check_rewrite(swap, any(), "/a/b/1", r"/b/a\/1");
}

#[test]
fn substitutions_must_refer_to_groups() {
    for substitution in [r"\1", r"\", r"\x"] {
        let rewrite = PathRewrite::Regex {
            pattern: "/".into(),
            substitution: substitution.into(),
        };
        assert!(Rewriter::new(&rewrite, &any()).is_err(), "{substitution}");
    }
}

#[track_caller]
fn check_redirect(redirect: Redirect, request: PlainRequest, expect: &str) {
    let mut one = route("redirect", PathMatch::Prefix("/old".into()));
    one.action = RouteAction::Redirect(redirect);
    let table = table(vec![one]);
    let location = table
        .route(&request)
        .unwrap()
        .redirect_location(&request)
        .unwrap();
    assert_eq!(String::from_utf8(location).unwrap(), expect);
}

fn redirect() -> Redirect {
    Redirect {
        code: 301,
        scheme: None,
        host: None,
        port: None,
        path: None,
    }
}

#[test]
fn redirects_keep_what_they_do_not_name() {
    let https = Redirect {
        scheme: Some("https".into()),
        ..redirect()
    };
    let request = |authority| PlainRequest::get(authority, "/old/x?q=1");
    check_redirect(https.clone(), request("a:80"), "https://a/old/x?q=1");
    check_redirect(https.clone(), request("a:8080"), "https://a:8080/old/x?q=1");
    let port = Redirect {
        port: NonZeroU16::new(8443),
        ..https.clone()
    };
    check_redirect(port, request("a:80"), "https://a:8443/old/x?q=1");
    let default_port = Redirect {
        port: NonZeroU16::new(443),
        host: Some("b".into()),
        ..https
    };
    check_redirect(default_port, request("a:80"), "https://b/old/x?q=1");
    let prefix = Redirect {
        path: Some(PathRewrite::Prefix("/new".into())),
        ..redirect()
    };
    check_redirect(prefix, request("a:80"), "http://a:80/new/x?q=1");
    let full = Redirect {
        path: Some(PathRewrite::Full("/new?z=2".into())),
        ..redirect()
    };
    check_redirect(full, request("a"), "http://a/new?z=2");
}

fn weighted(weights: &[u32]) -> Target {
    Target::Weighted(
        weights
            .iter()
            .enumerate()
            .map(|(index, weight)| WeightedCluster {
                cluster: index.to_string().into(),
                weight: *weight,
                request_headers: HeaderOps::default(),
                response_headers: HeaderOps::default(),
            })
            .collect(),
    )
}

#[test]
fn an_expression_for_everything_is_a_catch_all_like_the_prefix_of_all() {
    let catch_all = |path| {
        let matcher = RouteMatch {
            path,
            ..RouteMatch::everything()
        };
        matcher.is_catch_all()
    };
    assert!(catch_all(PathMatch::Regex(".*".into())));
    assert!(catch_all(PathMatch::Prefix("/".into())));
    assert!(!catch_all(PathMatch::Regex("/.*".into())));
    assert!(!catch_all(PathMatch::Exact("/".into())));
}

proptest! {
    #[test]
    fn picks_follow_the_weights(weights in prop::collection::vec(0u32..20, 1..6), start in prop::num::u32::ANY) {
        let target = weighted(&weights);
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut counts = vec![0; weights.len()];
        let first = u64::from(start) * total;
        for ticket in first..first + total {
            counts[target.pick(ticket).unwrap().index] += 1;
        }
        prop_assert_eq!(&counts, &weights);
        prop_assert_eq!(target.pick(7).is_none(), total == 0);
    }

    /// The index finds what a naive search over all domains by Envoy's words finds.
    #[test]
    fn domains_are_found_as_by_naive_search(
        domains in prop::collection::btree_set("[ab.]{0,3}[*]|[*][ab.]{0,3}|[ab.]{1,4}", 0..12),
        authority in "[abAB.]{0,5}",
    ) {
        let hosts = domains
            .iter()
            .map(|domain| host(domain, &[domain], vec![route(domain, any())]))
            .collect();
        let (table, _) = compile(hosts);
        let lower = authority.to_ascii_lowercase();
        let longest = |fits: &dyn Fn(&str) -> Option<usize>| {
            domains
                .iter()
                .filter(|domain| *domain != "*")
                .filter_map(|domain| Some((fits(domain)?, domain)))
                .max_by_key(|(length, _)| *length)
                .map(|(_, domain)| domain)
        };
        let expect = domains
            .get(&lower)
            .or_else(|| longest(&|domain| {
                let suffix = domain.strip_prefix('*')?;
                (lower.len() > suffix.len() && lower.ends_with(suffix)).then_some(suffix.len())
            }))
            .or_else(|| longest(&|domain| {
                let prefix = domain.strip_suffix('*')?;
                (lower.len() > prefix.len() && lower.starts_with(prefix)).then_some(prefix.len())
            }))
            .or_else(|| domains.get("*"));
        let found = table.route(&PlainRequest::get(&authority, "/")).map(|matched| matched.route.name.to_string());
        prop_assert_eq!(found.as_ref(), expect);
    }

    #[test]
    fn nothing_panics(
        pattern in ".{0,12}",
        substitution in ".{0,6}",
        authority in ".{0,12}",
        path in ".{0,12}",
    ) {
        let mut one = route("one", PathMatch::Regex(pattern.as_str().into()));
        one.action = RouteAction::Redirect(Redirect {
            path: Some(PathRewrite::Regex {
                pattern: pattern.as_str().into(),
                substitution: substitution.as_str().into(),
            }),
            scheme: Some("https".into()),
            ..redirect()
        });
        let (table, _) = compile(vec![host("all", &[&authority, "*"], vec![one])]);
        let request = PlainRequest::get(&authority, &path);
        if let Some(matched) = table.route(&request) {
            matched.redirect_location(&request);
        }
    }
}

#[test]
fn a_table_takes_over_the_hosts_that_stay() {
    let config = |hosts: Vec<Arc<VirtualHost>>| {
        Arc::new(RouteConfig {
            name: "80".into(),
            virtual_hosts: hosts,
            discovers_virtual_hosts: false,
            ignore_port_in_host: true,
        })
    };
    let host = |name: &str| Arc::new(host(name, &[name], vec![route(name, any())]));
    let (a, b, c) = (host("a"), host("b"), host("c"));
    let (before, _) = RouteTable::compile(config(vec![a, b.clone()]));
    let (table, invalid) = RouteTable::compile_after(config(vec![c, b]), Some(&before));
    assert_eq!(invalid, []);
    let taken = |table: &RouteTable, name: &str| {
        let host = table.virtual_host(name)?;
        Some((host.index(), host.config(table)?.name.to_string()))
    };
    assert_eq!(taken(&table, "a"), None);
    assert_eq!(taken(&table, "b"), Some((1, "b".to_owned())));
    assert_eq!(taken(&table, "c"), Some((0, "c".to_owned())));
}

#[test]
fn a_route_is_taken_by_claims_of_valid_tokens() {
    let claim = |path: &[&str], value, invert| ClaimMatch {
        path: path.iter().map(|name| Arc::from(*name)).collect(),
        value,
        invert,
    };
    let matcher = RouteMatch {
        claims: vec![
            claim(
                &["realm", "groups"],
                StringPattern::Exact("admin".into()),
                false,
            ),
            claim(&["guest"], StringPattern::NotEmpty, true),
        ],
        ..RouteMatch::everything()
    };
    assert!(!matcher.is_catch_all());
    let criteria = criteria::Criteria::new(&matcher).unwrap();
    let request = PlainRequest::get("a", "/");
    let edits = HeadEdits::default();
    let check = |claims: serde_json::Value| {
        let tokens = [Arc::new(VerifiedToken::new(claims))];
        let edited = EditedRequest {
            request: &request,
            edits: &edits,
            tokens: Tokens::Verified(&tokens),
        };
        criteria.is_match(&edited)
    };
    assert!(check(json!({"realm": {"groups": ["staff", "admin"]}})));
    assert!(!check(json!({"realm": {"groups": ["staff"]}})));
    assert!(!check(
        json!({"realm": {"groups": "admin"}, "guest": "yes"})
    ));
    // Where no tokens are checked, nobody has claims.
    assert!(!criteria.is_match(&request));
    let mismatch = criteria.mismatch(&request).unwrap();
    assert_eq!(mismatch.criterion, "claim realm.groups");
}
