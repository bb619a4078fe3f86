//! A canary on a website in three colours, with YAML as the tutorials of 2018 write it.

use crate::chance::check;
use crate::sandbox::Sandbox;

/// Which version answered.
fn is(version: u8) -> impl Fn(&str) -> bool {
    let marks = ["version 1", "version 2", "version 3"];
    let mark = marks[usize::from(version) - 1];
    move |page: &str| page.to_ascii_lowercase().contains(mark)
}

#[test]
fn a_canary_on_a_website() {
    let sandbox = Sandbox::up(
        "website",
        &[
            "-f",
            "samples/website/legacy/website.yaml",
            "-f",
            "samples/website/legacy/routing.yaml",
        ],
    );

    // The ingress shows only version 1, though the Service selects all three.
    sandbox.settle("all to version 1", "/", &[], is(1));
    assert_eq!(sandbox.count(100, "/", &[], is(1)), 100);

    sandbox.apply("samples/website/virtual-service-90-10.yaml");
    sandbox.until_seen("a canary of version 2", is(2));
    let (n, canary) = (400, is(2));
    let seen = sandbox.count(n, "/", &[], |page| {
        assert!(!is(3)(page), "version 3 is not asked for");
        canary(page)
    });
    check("a tenth to version 2", seen, n, 0.1);

    sandbox.apply("samples/website/virtual-service-50-50.yaml");
    sandbox.until_share("half to version 2", 0.5, is(2));

    sandbox.apply("samples/website/virtual-service-by-header.yaml");
    sandbox.settle("version 1 without the header", "/", &[], is(1));
    let header = [("qa", "canary-test")];
    assert_eq!(sandbox.count(50, "/", &header, is(2)), 50);
    assert_eq!(sandbox.count(50, "/", &[("qa", "other")], is(1)), 50);
}

impl Sandbox {
    /// Waits until a page matches: the change has arrived at the gateway.
    #[track_caller]
    fn until_seen(&self, what: &str, matches: impl Fn(&str) -> bool) {
        mesh_tests::eventually(what, crate::sandbox::SETTLED, || {
            matches(&self.page("/", &[])).then_some(())
        });
    }

    /// Waits until the change has arrived, and then counts. What had a tenth before has half of a round only after it.
    #[track_caller]
    fn until_share(&self, what: &str, share: f64, matches: impl Fn(&str) -> bool) {
        let n = 400;
        mesh_tests::eventually(what, crate::sandbox::SETTLED, || {
            let bounds = crate::chance::bounds(100, share);
            bounds
                .contains(&self.count(100, "/", &[], &matches))
                .then_some(())
        });
        check(what, self.count(n, "/", &[], &matches), n, share);
    }
}
