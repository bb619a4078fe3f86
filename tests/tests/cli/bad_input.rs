//! Wrong words, wrong files, closed pipes: a clear message on standard error, and istioctl's exit codes.

use crate::place::{Place, Ran, fixture};

/// Runs, expects nothing on standard output, and all texts on standard error.
#[track_caller]
fn check(place: &Place, arguments: &[&str], code: i32, says: &[&str]) -> Ran {
    let ran = place.run(arguments);
    ran.ends(code).prints_nothing();
    for text in says {
        ran.says(text);
    }
    ran
}

#[test]
fn wrong_words_are_refused_with_what_was_meant() {
    let place = Place::new();
    check(&place, &["anlyze"], 64, &["anlyze", "'analyze'"]);
    check(
        &place,
        &["analyze", "--failure-treshold", "Info"],
        64,
        &["--failure-threshold"],
    );
    check(
        &place,
        &["proxy-status", "--namspace", "x"],
        64,
        &["--namespace"],
    );
    check(&place, &["proxy-config", "cluster"], 64, &["NAME"]);
    check(&place, &["proxy-config", "clutser", "x"], 64, &["clutser"]);
    check(
        &place,
        &["proxy-config", "clusters", "a/b/c"],
        1,
        &["no cluster is named"],
    );
    check(
        &place,
        &["proxy-config", "clusters", "--port", "x", "-f", "f"],
        64,
        &["--port"],
    );
    check(&place, &["proxy-status", "-o", "xml"], 64, &["xml", "json"]);
    check(&place, &["kube-inject"], 64, &["--filename"]);
    check(
        &place,
        &["analyze", "--use-kube=false"],
        64,
        &["nothing to analyze", "hint:"],
    );
    check(
        &place,
        &["analyze", "--use-kube=maybe", "x"],
        64,
        &["maybe"],
    );
    check(
        &place,
        &["analyze", "--analyzer", "schema.ValidationAnalyzer.Gatewy"],
        64,
        &["schema.ValidationAnalyzer.Gateway"],
    );
    check(
        &place,
        &["analyze", "-S", "IST0101", "x"],
        64,
        &["CODE=OBJECT"],
    );
}

#[test]
fn the_likeliest_command_is_suggested() {
    let place = Place::new();
    for (word, meant, other) in [
        ("anlyze", "'analyze'", "'apply'"),
        ("analyse", "'analyze'", "'apply'"),
        ("instal", "'install'", "'uninstall'"),
    ] {
        let ran = place.run(&[word]);
        ran.ends(64).says(meant);
        assert!(!ran.stderr.contains(other), "{word}: {}", ran.stderr);
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let place = Place::new();
    place.file("latin.yaml", "").file("d/x.yaml", "");
    std::fs::write(place.path("latin.yaml"), b"a: 1\nb: caf\xe9\n").unwrap();
    for command in [&["analyze", "--use-kube=false"][..], &["kube-inject", "-f"]] {
        let with = |file| [command, &[file]].concat();
        check(
            &place,
            &with("missing.yaml"),
            1,
            &["missing.yaml", "No such file"],
        );
        check(
            &place,
            &with("latin.yaml"),
            65,
            &["latin.yaml", "UTF-8", "line 2"],
        );
    }
    check(
        &place,
        &["kube-inject", "-f", "d"],
        64,
        &["d is a directory"],
    );
    check(
        &place,
        &["proxy-config", "routes", "-f", "missing.json"],
        1,
        &["missing.json", "No such file"],
    );
    place
        .file("text.json", "hello")
        .file("other.json", "{\"a\": 1}");
    check(
        &place,
        &["proxy-config", "routes", "-f", "text.json"],
        65,
        &["text.json", "not JSON"],
    );
    check(
        &place,
        &["proxy-config", "routes", "-f", "other.json"],
        65,
        &["other.json", "configs", "hint:"],
    );
}

/// YAML whose aliases expand to a billion values.
fn bomb() -> String {
    let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (name, of) in ('b'..='i').zip('a'..) {
        let all = vec![format!("*{of}"); 10].join(",");
        text.push_str(&format!("{name}: &{name} [{all}]\n"));
    }
    text
}

#[test]
fn every_reader_of_files_refuses_what_it_cannot_read() {
    let place = Place::new();
    let nested = format!("a: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    place
        .file("bomb.yaml", &bomb())
        .file("deep.yaml", &nested)
        .file("twice.yaml", "kind: Service\nkind: Pod\n")
        .file("tab.yaml", "kind: Service\nmetadata:\n\tname: a\n");
    for command in [
        &["analyze", "--use-kube=false"][..],
        &["validate", "-f"],
        &["kube-inject", "-f"],
        &["manifest", "generate", "-f"],
        &["explain", "request", "GET", "http://web/", "-f"],
        &["authz", "can-i", "GET", "http://web/", "-f"],
    ] {
        for file in ["bomb.yaml", "deep.yaml", "twice.yaml", "tab.yaml"] {
            let ran = place.run(&[command, &[file]].concat());
            assert_eq!(ran.code, 65, "{command:?} {file}: {}", ran.stderr);
        }
    }
    // A bomb inside of an annotation is one as well.
    let annotation: String = bomb()
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    place.file(
        "pod.yaml",
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n    proxy.istio.io/config: |\n{annotation}spec: {{containers: [{{name: a, image: a}}]}}\n"
        ),
    );
    check(
        &place,
        &["kube-inject", "-f", "pod.yaml"],
        65,
        &["proxy.istio.io/config", "aliases expand to too much"],
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let dump = fixture("envoy/config_dump.json");
    let app: String = (0..2000)
        .map(|number| format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: s{number}\nspec:\n  ports: [{{port: 80, name: x}}]\n---\n"))
        .collect();
    place.file("app.yaml", &app);
    for command in [
        "$MESHCTL kube-inject --use-kube=false -f app.yaml".to_owned(),
        "$MESHCTL analyze --use-kube=false app.yaml -o json".to_owned(),
        format!("$MESHCTL proxy-config all -f {dump} -o json"),
        "$MESHCTL completion bash".to_owned(),
        "$MESHCTL --help".to_owned(),
    ] {
        // The reader is gone before the first byte.
        let ran = place.bash(&format!("{command} | : ; exit ${{PIPESTATUS[0]}}"));
        ran.ends(0);
        assert!(!ran.stderr.contains("error"), "{command}: {}", ran.stderr);
        let ran = place.bash(&format!("{command} | head -n 1; exit ${{PIPESTATUS[0]}}"));
        assert_eq!(ran.ends(0).stdout.lines().count(), 1, "{command}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let place = Place::new();
    let ran = place.bash("$MESHCTL analyze -L > /dev/full");
    ran.ends(1).says("failed to write to standard output");
}
