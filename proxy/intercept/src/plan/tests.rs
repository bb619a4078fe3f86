//! The rules that settings make.

use crate::iptables;
use crate::rule::Family;
use crate::{Dns, Selection, Settings, plan};

/// The rules of one chain, as nftables writes them.
fn rules(settings: &Settings, chain: &str) -> Vec<String> {
    let ruleset = plan(settings);
    let found = ruleset.chains.iter().find(|one| one.name == chain);
    let rules = &found.expect("no such chain").rules;
    rules.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(settings: &Settings, chain: &str, expected: &[&str]) {
    assert_eq!(rules(settings, chain), expected, "{chain}");
}

#[test]
fn a_mark_stands_for_users_and_groups() {
    let settings = Settings {
        proxy_mark: Some(1337),
        ipv6: false,
        ..Settings::default()
    };
    check(
        &settings,
        "ISTIO_OUTPUT",
        &[
            "oifname \"lo\" ip saddr 127.0.0.6/32 return",
            "oifname \"lo\" ip daddr != 127.0.0.1/32 meta l4proto tcp tcp dport != 15008 meta mark 1337 jump ISTIO_IN_REDIRECT",
            "oifname \"lo\" meta mark != 1337 return",
            "meta mark 1337 return",
            "ip daddr 127.0.0.1/32 return",
            "meta l4proto tcp jump ISTIO_REDIRECT",
        ],
    );
}

#[test]
fn everything_is_redirected_unless_told_otherwise() {
    let settings = Settings::default();
    check(
        &settings,
        "ISTIO_INBOUND",
        &[
            "meta l4proto tcp tcp dport 15008 return",
            "meta l4proto tcp jump ISTIO_IN_REDIRECT",
        ],
    );
    check(
        &settings,
        "ISTIO_OUTPUT",
        &[
            "oifname \"lo\" ip saddr 127.0.0.6/32 return",
            "oifname \"lo\" ip6 saddr ::6/128 return",
            "oifname \"lo\" ip daddr != 127.0.0.1/32 meta l4proto tcp tcp dport != 15008 meta skuid 1337 jump ISTIO_IN_REDIRECT",
            "oifname \"lo\" ip6 daddr != ::1/128 meta l4proto tcp tcp dport != 15008 meta skuid 1337 jump ISTIO_IN_REDIRECT",
            "oifname \"lo\" meta skuid != 1337 return",
            "meta skuid 1337 return",
            "oifname \"lo\" ip daddr != 127.0.0.1/32 meta l4proto tcp tcp dport != 15008 meta skgid 1337 jump ISTIO_IN_REDIRECT",
            "oifname \"lo\" ip6 daddr != ::1/128 meta l4proto tcp tcp dport != 15008 meta skgid 1337 jump ISTIO_IN_REDIRECT",
            "oifname \"lo\" meta skgid != 1337 return",
            "meta skgid 1337 return",
            "ip daddr 127.0.0.1/32 return",
            "ip6 daddr ::1/128 return",
            "meta l4proto tcp jump ISTIO_REDIRECT",
        ],
    );
    check(
        &settings,
        "ISTIO_REDIRECT",
        &["meta l4proto tcp redirect to :15001"],
    );
    check(
        &settings,
        "ISTIO_IN_REDIRECT",
        &["meta l4proto tcp redirect to :15006"],
    );
    check(
        &settings,
        "PREROUTING",
        &["meta l4proto tcp jump ISTIO_INBOUND"],
    );
    check(&settings, "OUTPUT", &["meta l4proto tcp jump ISTIO_OUTPUT"]);
}

#[test]
fn ports_networks_and_interfaces_are_chosen() {
    let settings = Settings {
        proxy_users: vec![],
        proxy_groups: vec![],
        include_inbound_ports: Selection::Only(vec![8080, 9090]),
        exclude_inbound_ports: vec![9090],
        include_outbound_networks: Selection::Only(vec!["10.96.0.0/12".parse().unwrap()]),
        exclude_outbound_networks: vec!["10.96.0.10".parse().unwrap()],
        include_outbound_ports: Selection::Only(vec![443]),
        exclude_outbound_ports: vec![3306],
        exclude_interfaces: vec!["net1".into(), "eth+".into()],
        virtual_machine_interfaces: vec!["k6t".into()],
        ipv6: false,
        ..Settings::default()
    };
    check(
        &settings,
        "PREROUTING",
        &[
            "iifname \"net1\" return",
            "iifname \"eth*\" return",
            "iifname \"k6t\" ip daddr 10.96.0.10/32 return",
            "iifname \"k6t\" meta l4proto tcp ip daddr 10.96.0.0/12 jump ISTIO_REDIRECT",
            "iifname \"k6t\" return",
            "meta l4proto tcp ip saddr 0.0.0.0/0 jump ISTIO_INBOUND",
        ],
    );
    check(
        &settings,
        "ISTIO_INBOUND",
        &[
            "meta l4proto tcp tcp dport 15008 return",
            "meta l4proto tcp tcp dport 9090 return",
            "meta l4proto tcp tcp dport 8080 jump ISTIO_IN_REDIRECT",
            "meta l4proto tcp tcp dport 9090 jump ISTIO_IN_REDIRECT",
        ],
    );
    check(
        &settings,
        "ISTIO_OUTPUT",
        &[
            "meta l4proto tcp tcp dport 3306 return",
            "oifname \"lo\" ip saddr 127.0.0.6/32 return",
            "ip daddr 127.0.0.1/32 return",
            "ip daddr 10.96.0.10/32 return",
            "meta l4proto tcp tcp dport 443 jump ISTIO_REDIRECT",
            "meta l4proto tcp ip daddr 10.96.0.0/12 jump ISTIO_REDIRECT",
        ],
    );
}

#[test]
fn nothing_comes_in_where_no_port_is_chosen() {
    let settings = Settings {
        include_inbound_ports: Selection::Only(vec![]),
        ..Settings::default()
    };
    check(&settings, "PREROUTING", &[]);
}

#[test]
fn dns_goes_to_the_proxy_and_its_own_queries_do_not() {
    let settings = Settings {
        proxy_groups: vec![],
        dns: Dns::Servers(vec!["10.96.0.10".parse().unwrap()]),
        ..Settings::default()
    };
    let output = rules(&settings, "ISTIO_OUTPUT");
    let at = |text: &str| output.iter().position(|rule| rule == text).expect(text);
    let own = at("meta skuid 1337 return");
    let tcp = at("meta l4proto tcp tcp dport 53 ip daddr 10.96.0.10/32 redirect to :15053");
    let udp = at("meta l4proto udp udp dport 53 ip daddr 10.96.0.10/32 redirect to :15053");
    assert!(own < tcp && tcp < udp && udp < at("ip daddr 127.0.0.1/32 return"));
    at("oifname \"lo\" meta l4proto tcp tcp dport != 53 meta skuid != 1337 return");
    check(
        &settings,
        "RAW_OUTPUT",
        &[
            "meta l4proto udp udp dport 53 meta skuid 1337 ct zone set 1",
            "meta l4proto udp udp sport 15053 meta skuid 1337 ct zone set 2",
            "meta l4proto udp udp dport 53 ct zone set 2",
        ],
    );
    check(
        &settings,
        "RAW_PREROUTING",
        &["meta l4proto udp udp sport 53 ct zone set 1"],
    );
}

#[test]
fn iptables_is_told_the_same_for_each_family() {
    let settings = Settings {
        proxy_groups: vec![],
        exclude_inbound_ports: vec![15020],
        dns: Dns::All,
        ..Settings::default()
    };
    let ruleset = plan(&settings);
    let v4 = iptables::replace(&ruleset, Family::V4);
    for line in [
        "*nat",
        ":MESH_PREROUTING - [0:0]",
        "-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN",
        "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_OUTPUT -p udp --dport 53 -j REDIRECT --to-ports 15053",
        "-A MESH_PREROUTING -p tcp -j ISTIO_INBOUND",
        "-I PREROUTING 1 -j MESH_PREROUTING",
        "*raw",
        "-A MESH_RAW_PREROUTING -p udp --sport 53 -j CT --zone 1",
        "-I OUTPUT 1 -j MESH_RAW_OUTPUT",
    ] {
        assert!(v4.lines().any(|found| found == line), "{line}:\n{v4}");
    }
    assert_eq!(v4.lines().filter(|line| *line == "COMMIT").count(), 2);
    assert!(!v4.contains("::1/128"), "{v4}");
    let v6 = iptables::replace(&ruleset, Family::V6);
    assert!(v6.contains("-A ISTIO_OUTPUT -d ::1/128 -j RETURN"), "{v6}");
    assert!(!v6.contains("127.0.0.1/32"), "{v6}");
    let removals = iptables::removals(&ruleset);
    let first: Vec<&str> = removals[0].iter().map(String::as_str).collect();
    assert_eq!(
        first,
        [
            "-w",
            "-t",
            "nat",
            "-D",
            "PREROUTING",
            "-j",
            "MESH_PREROUTING"
        ]
    );
}
