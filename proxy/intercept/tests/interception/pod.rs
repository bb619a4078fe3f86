//! The inside: a pod's network namespace beside a peer's, listeners, clients, and the scenarios.

use std::ffi::OsString;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

/// Variable that names the scenario.
pub const SCENARIO: &str = "INTERCEPTION_SCENARIO";

/// Variable that says whether there can be processes of the proxy's user.
pub const PRIVILEGED: &str = "INTERCEPTION_PRIVILEGED";

/// An address of a service, which the peer has.
const SERVICE: &str = "10.96.0.1";
const SERVICE_V6: &str = "fd00:96::1";
const POD: &str = "10.244.7.2";
const POD_V6: &str = "fd00:244::2";

/// How often each connection is tried.
const TRIES: usize = 5;

/// Whether this process may be another user.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

pub fn run(scenario: &str) {
    let pod = Pod::new();
    match scenario {
        "nftables" | "iptables" => both_directions(&pod, scenario),
        "again" => again(&pod),
        "exclusions" => exclusions(&pod),
        "dns" => dns(&pod),
        other => panic!("there is no scenario {other}"),
    }
}

fn both_directions(pod: &Pod, backend: &str) {
    if !pod.has(backend) {
        return;
    }
    pod.expect(&App, &[(SERVICE, 80, "refused"), (POD, 8080, "8080")]);
    intercept(&[
        "intercept",
        "-d",
        "15020",
        "--ipv6",
        "true",
        "--backend",
        backend,
    ]);
    let outbound = format!("15001 for {SERVICE}:80");
    let outbound_v6 = format!("15001 for [{SERVICE_V6}]:443");
    pod.expect(
        &App,
        &[
            (SERVICE, 80, &outbound),
            (SERVICE_V6, 443, &outbound_v6),
            // Its own addresses stay direct.
            (POD, 8080, "8080"),
            ("127.0.0.1", 8080, "8080"),
            ("::1", 8080, "8080"),
        ],
    );
    let inbound = format!("15006 for {POD}:8080");
    let inbound_v6 = format!("15006 for [{POD_V6}]:8080");
    pod.expect(
        &Peer(pod),
        &[
            (POD, 8080, &inbound),
            (POD_V6, 8080, &inbound_v6),
            (POD, 15020, "15020"),
            (POD, 15008, "refused"),
        ],
    );
    if pod.has_users {
        pod.expect(
            &Proxy,
            &[
                (SERVICE, 80, "refused"),
                (SERVICE_V6, 80, "refused"),
                ("127.0.0.1", 8080, "8080"),
                // A service that calls itself comes in again.
                (POD, 8080, &inbound),
            ],
        );
    }
}

fn again(pod: &Pod) {
    let outbound = format!("15001 for {SERVICE}:80");
    for backend in ["nftables", "iptables"] {
        if !pod.has(backend) {
            continue;
        }
        for _ in 0..3 {
            intercept(&["istio-iptables", "--backend", backend]);
        }
        pod.expect(&App, &[(SERVICE, 80, &outbound)]);
        // Other settings take the place of the first ones.
        intercept(&["istio-iptables", "-i", "", "--backend", backend]);
        pod.expect(&App, &[(SERVICE, 80, "refused")]);
        intercept(&["istio-iptables", "--backend", backend]);
        for _ in 0..2 {
            intercept(&["istio-clean-iptables", "--backend", backend]);
        }
        pod.expect(&App, &[(SERVICE, 80, "refused")]);
        pod.expect(&Peer(pod), &[(POD, 8080, "8080")]);
    }
    let saved = output("iptables-save", &[]);
    assert!(
        !saved.contains("ISTIO") && !saved.contains("MESH"),
        "{saved}"
    );
}

fn exclusions(pod: &Pod) {
    intercept(&[
        "istio-iptables",
        "-i",
        "10.96.0.0/12",
        "-x",
        "10.96.0.2/31",
        "-o",
        "3306",
        "-q",
        "5432",
        "-b",
        "8080",
        "--ipv6=false",
    ]);
    let to = |address: &str| format!("15001 for {address}");
    pod.expect(
        &App,
        &[
            (SERVICE, 80, &to("10.96.0.1:80")),
            ("10.96.0.3", 80, "refused"),
            (SERVICE, 3306, "refused"),
            ("10.200.0.1", 80, "refused"),
            ("10.200.0.1", 5432, &to("10.200.0.1:5432")),
            (SERVICE_V6, 80, "refused"),
        ],
    );
    let inbound = format!("15006 for {POD}:8080");
    pod.expect(
        &Peer(pod),
        &[
            (POD, 8080, &inbound),
            (POD, 15020, "15020"),
            (POD_V6, 8080, "8080"),
        ],
    );
    intercept(&["istio-iptables", "-c", "pod0"]);
    pod.expect(&App, &[(SERVICE, 80, "refused")]);
    pod.expect(&Peer(pod), &[(POD, 8080, "8080")]);
    intercept(&["istio-iptables", "-k", "po+"]);
    let outbound = format!("15001 for {POD}:8080");
    pod.expect(&Peer(pod), &[(POD, 8080, &outbound)]);
}

fn dns(pod: &Pod) {
    if !pod.has_users {
        return;
    }
    // This process is the proxy, and another user the application.
    intercept(&["istio-iptables", "--capture-all-dns", "-u", "0", "-g", "0"]);
    let proxy = UdpSocket::bind("127.0.0.1:15053").unwrap();
    let limit = Some(Duration::from_secs(10));
    proxy.set_read_timeout(limit).unwrap();
    let script = format!("exec 3<>/dev/udp/{SERVICE}/53; echo question >&3; head -n1 <&3");
    let application = Command::new("timeout")
        .args([
            "10",
            "setpriv",
            "--reuid=1000",
            "--regid=1000",
            "--clear-groups",
            "bash",
            "-c",
            &script,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut buffer = [0; 64];
    let (length, from) = proxy.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"question\n");
    proxy.send_to(b"answer\n", from).unwrap();
    // The answer seems to come from the server that was asked: no other would be heard.
    let output = application.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"answer\n");
}

#[track_caller]
fn intercept(words: &[&str]) {
    let code = mesh_intercept::main(words.iter().map(OsString::from).collect());
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", ExitCode::SUCCESS),
        "{words:?}"
    );
}

fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// === Who connects ===

/// Who connects: how a shell is started as it.
trait Client {
    fn shell(&self) -> Vec<String>;
}

/// Any program of the pod.
struct App;

/// The proxy, told by its user.
struct Proxy;

/// A program of another pod.
struct Peer<'a>(&'a Pod);

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

impl Client for App {
    fn shell(&self) -> Vec<String> {
        words(["bash"])
    }
}

impl Client for Proxy {
    fn shell(&self) -> Vec<String> {
        words([
            "setpriv",
            "--reuid=1337",
            "--regid=1337",
            "--clear-groups",
            "bash",
        ])
    }
}

impl Client for Peer<'_> {
    fn shell(&self) -> Vec<String> {
        let target = self.0.peer.id().to_string();
        words(["nsenter", "--net", "--target", &target, "bash"])
    }
}

// === The pod ===

/// A pod and its peer.
struct Pod {
    peer: Child,
    has_users: bool,
}

impl Pod {
    fn new() -> Self {
        let peer = Command::new("unshare")
            .args(["--net", "sleep", "120"])
            .spawn()
            .unwrap();
        let pid = peer.id().to_string();
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let start = Instant::now();
        while namespace(&pid) == namespace("self") {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "no namespace for the peer"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let here = |line: &str| {
            output("ip", &line.split(' ').collect::<Vec<_>>());
        };
        let there = |line: &str| {
            let mut all = vec!["--net", "--target", &pid, "ip"];
            all.extend(line.split(' '));
            output("nsenter", &all);
        };
        here("link set lo up");
        here(&format!(
            "link add pod0 type veth peer name peer0 netns {pid}"
        ));
        here(&format!("addr add {POD}/24 dev pod0"));
        here(&format!("addr add {POD_V6}/64 dev pod0 nodad"));
        here("link set pod0 up");
        there("link set lo up");
        there("addr add 10.244.7.1/24 dev peer0");
        there("addr add fd00:244::1/64 dev peer0 nodad");
        there("link set peer0 up");
        for address in [
            "10.96.0.1/32",
            "10.96.0.3/32",
            "10.200.0.1/32",
            "fd00:96::1/128",
        ] {
            there(&format!("addr add {address} dev lo"));
        }
        here("route add default via 10.244.7.1");
        here("-6 route add default via fd00:244::1");
        for port in [15001, 15006, 15020, 8080] {
            for address in [format!("0.0.0.0:{port}"), format!("[::]:{port}")] {
                listen(address.parse().unwrap());
            }
        }
        let has_users = std::env::var(PRIVILEGED).is_ok_and(|text| text == "true");
        Self { peer, has_users }
    }

    /// Whether the kernel takes the rules here: iptables has none about users that the namespace does not know.
    fn has(&self, backend: &str) -> bool {
        backend == "nftables" || self.has_users
    }

    /// Connects to each address some times, and compares where all of these connections arrive.
    #[track_caller]
    fn expect(&self, client: &dyn Client, expected: &[(&str, u16, &str)]) {
        for (host, port, arrival) in expected {
            let script = format!(
                "for i in $(seq {TRIES}); do (exec 3<>/dev/tcp/{host}/{port} && head -n1 <&3) 2>/dev/null || echo refused; done"
            );
            let mut words = vec!["10".to_owned()];
            words.extend(client.shell());
            words.extend(["-c".to_owned(), script]);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let found = output("timeout", &words);
            let found: Vec<&str> = found.lines().collect();
            assert_eq!(
                found,
                vec![*arrival; TRIES],
                "{host} port {port} of {}",
                client.shell().join(" ")
            );
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.peer.kill();
        let _ = self.peer.wait();
    }
}

/// Tells each client at which port it has arrived, and where it wanted to go if that was elsewhere.
fn listen(address: SocketAddr) {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(true).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket.listen(128).unwrap();
    let listener = TcpListener::from(socket);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            greet(stream, address.port());
        }
    });
}

fn greet(mut stream: TcpStream, port: u16) {
    let socket = SockRef::from(&stream);
    let original = match stream.local_addr().unwrap() {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    let original = original.ok().and_then(|address| address.as_socket());
    let _ = match original {
        Some(original) if original.port() != port => writeln!(stream, "{port} for {original}"),
        _ => writeln!(stream, "{port}"),
    };
}
