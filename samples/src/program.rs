//! The table of all programs, and how one of them runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::bookinfo::{Details, ProductPage, Ratings, Reviews, Store};
use crate::config::Config;
use crate::echo::Echo;
use crate::ext_authz::{self, ExtAuthz};
use crate::handler::Handler;
use crate::hello::{Flags, Hello};
use crate::helloworld::HelloWorld;
use crate::httpbin::Httpbin;
use crate::load::Load;
use crate::server;
use crate::tcp::{self, Conversation};
use crate::tcp_echo::TcpEcho;
use crate::website::Website;
use crate::websockets::WebSockets;

/// One program of this crate.
#[derive(Debug)]
pub struct Program {
    /// The name that [`run`] takes, such as `reviews-v2`.
    pub name: &'static str,
    /// The port that it listens on unless `PORT` or an argument says otherwise; 0 for one that listens on none.
    pub port: u16,
    /// What it is, in a few words.
    pub about: &'static str,
    build: fn(&Config) -> anyhow::Result<App>,
}

/// A program that is ready to run.
struct App {
    work: Work,
    /// Ports that the program's own arguments ask for, the first in place of the usual one.
    ports: Vec<u16>,
}

/// What a program does.
enum Work {
    /// Answers requests, and for one of them by gRPC as well.
    Http(Arc<dyn Handler>, Option<ext_authz::Flags>),
    /// Converses by TCP.
    Tcp(Arc<dyn Conversation>),
    /// Sends requests and ends.
    Load(Load),
    /// Sends one request, prints its answer and ends.
    Curl(Load),
    /// Waits until it is told to stop.
    Sleep,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "productpage",
        port: 9080,
        about: "bookinfo: the page, calls details and reviews",
        build: |config| ProductPage::new(config).map(App::new),
    },
    Program {
        name: "details",
        port: 9080,
        about: "bookinfo: facts about the book",
        build: |config| Ok(App::new(Details::new(config))),
    },
    Program {
        name: "reviews-v1",
        port: 9080,
        about: "bookinfo: reviews without stars",
        build: |config| Reviews::new(config, "v1", None).map(App::new),
    },
    Program {
        name: "reviews-v2",
        port: 9080,
        about: "bookinfo: reviews with black stars, calls ratings",
        build: |config| Reviews::new(config, "v2", Some("black")).map(App::new),
    },
    Program {
        name: "reviews-v3",
        port: 9080,
        about: "bookinfo: reviews with red stars, calls ratings",
        build: |config| Reviews::new(config, "v3", Some("red")).map(App::new),
    },
    Program {
        name: "ratings",
        port: 9080,
        about: "bookinfo: stars of each reviewer",
        build: |config| Ratings::new(config).map(App::new),
    },
    Program {
        name: "mongodb",
        port: 27017,
        about: "bookinfo: data store of ratings v2, in the place of MongoDB",
        build: |_| Ok(App::tcp(Store::default())),
    },
    Program {
        name: "mysqldb",
        port: 3306,
        about: "bookinfo: data store of ratings, in the place of MySQL",
        build: |_| Ok(App::tcp(Store::default())),
    },
    Program {
        name: "website-v1",
        port: 80,
        about: "website: version 1, blue",
        build: |config| Ok(App::new(Website::new(config, 1))),
    },
    Program {
        name: "website-v2",
        port: 80,
        about: "website: version 2, green",
        build: |config| Ok(App::new(Website::new(config, 2))),
    },
    Program {
        name: "website-v3",
        port: 80,
        about: "website: version 3, orange",
        build: |config| Ok(App::new(Website::new(config, 3))),
    },
    Program {
        name: "hello",
        port: 7777,
        about: "hello: calls world and puts its own word before the answer",
        build: |config| hello(config, "Hello", Some("world")),
    },
    Program {
        name: "world-v1",
        port: 7778,
        about: "hello: the called one, answers world",
        build: |config| hello(config, "world", None),
    },
    Program {
        name: "world-v2",
        port: 7778,
        about: "hello: the called one, answers earth",
        build: |config| hello(config, "earth", None),
    },
    Program {
        name: "helloworld-v1",
        port: 5000,
        about: "helloworld: version v1 at /hello",
        build: |config| Ok(App::new(HelloWorld::new(config, "v1"))),
    },
    Program {
        name: "helloworld-v2",
        port: 5000,
        about: "helloworld: version v2 at /hello",
        build: |config| Ok(App::new(HelloWorld::new(config, "v2"))),
    },
    Program {
        name: "echo",
        port: 8080,
        about: "echo: reports what it received; statuses and delays on request",
        build: |config| Ok(App::new(Echo::new(config))),
    },
    Program {
        name: "httpbin",
        port: 80,
        about: "httpbin: reports requests, answers with statuses and delays",
        build: |config| Ok(App::new(Httpbin::new(config))),
    },
    Program {
        name: "httpbin-8000",
        port: 8000,
        about: "httpbin on another port, as one of its public images",
        build: |config| Ok(App::new(Httpbin::new(config))),
    },
    Program {
        name: "httpbin-8080",
        port: 8080,
        about: "httpbin on another port, as one of its public images",
        build: |config| Ok(App::new(Httpbin::new(config))),
    },
    Program {
        name: "health",
        port: 8001,
        about: "an echo on the port of the public program for probes",
        build: |config| Ok(App::new(Echo::new(config))),
    },
    Program {
        name: "websockets",
        port: 8888,
        about: "a page whose clients hear of each other over WebSocket",
        build: |_| Ok(App::new(WebSockets::new())),
    },
    Program {
        name: "tcp-echo",
        port: 9000,
        about: "answers each line over TCP, with a word before it",
        build: |config| {
            let echo = TcpEcho::parse(&config.args)?;
            Ok(App {
                ports: echo.ports.clone(),
                work: Work::Tcp(Arc::new(echo)),
            })
        },
    },
    Program {
        name: "fortio",
        port: 8080,
        about: "an echo; `fortio load URL` sends requests and counts",
        build: fortio,
    },
    Program {
        name: "sleep",
        port: 0,
        about: "does nothing, in the place of a pod to send requests from",
        build: |_| {
            Ok(App {
                work: Work::Sleep,
                ports: Vec::new(),
            })
        },
    },
    Program {
        name: "ext-authz",
        port: 8000,
        about: "authorizer: allows by x-ext-authz: allow; by gRPC on port 9000",
        build: |config| {
            let flags = ext_authz::Flags::parse(&config.args)?;
            Ok(App {
                ports: flags.http.into_iter().collect(),
                work: Work::Http(Arc::new(ExtAuthz), Some(flags)),
            })
        },
    },
];

const NAMES: [&str; PROGRAMS.len()] = {
    let mut names = [""; PROGRAMS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = PROGRAMS[index].name;
        index += 1;
    }
    names
};

/// All programs, in the order in which help lists them.
pub fn programs() -> &'static [Program] {
    PROGRAMS
}

/// The names of all programs.
pub fn names() -> &'static [&'static str] {
    &NAMES
}

/// Runs a program until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// An unknown name, malformed arguments or settings of that program, or an address that cannot be
/// listened on.
pub async fn run(name: &str, config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to watch for SIGINT")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run_until(name, config, shutdown).await
}

/// Runs a program until `shutdown` is ready, then drains. Signals are the caller's.
///
/// # Errors
/// As those of [`run`].
pub async fn run_until(
    name: &str,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let program = find(name)?;
    let app = (program.build)(&config)?;
    match app.work {
        Work::Load(load) => tokio::select! {
            done = load.run(&config) => done,
            () = shutdown => Ok(()),
        },
        Work::Curl(request) => tokio::select! {
            done = request.curl(&config) => done,
            () = shutdown => Ok(()),
        },
        Work::Sleep => {
            shutdown.await;
            Ok(())
        }
        work => serve(program, App { work, ..app }, config, shutdown).await,
    }
}

/// Serves on the ports of a program until `shutdown` is ready.
async fn serve(
    program: &Program,
    app: App,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let name = program.name;
    let (grace, bind) = (config.grace, config.bind);
    let (first, more) = match app.ports.split_first() {
        Some((first, more)) => (*first, more),
        None => (program.port, &[][..]),
    };
    let mut listeners = vec![listen(config, first).await?];
    for port in more {
        listeners.push(bind_to(SocketAddr::new(bind, *port)).await?);
    }
    for address in listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
    {
        tracing::info!(program = name, %address, "listening");
    }
    match app.work {
        Work::Http(handler, grpc) => {
            let _beside = beside(name, bind, grpc).await?;
            if let Some(listener) = listeners.pop() {
                server::serve(listener, handler, shutdown, grace).await;
            }
        }
        Work::Tcp(program) => tcp::serve(listeners, program, shutdown, grace).await,
        Work::Load(_) | Work::Curl(_) | Work::Sleep => {}
    }
    tracing::info!(program = name, "stopped");
    Ok(())
}

/// The port that a program listens on: by the environment, its arguments, or its own. None for a program that listens on none.
///
/// # Errors
/// An unknown name, or malformed arguments or settings of that program.
pub fn port(name: &str, config: &Config) -> anyhow::Result<Option<u16>> {
    let program = find(name)?;
    let app = (program.build)(config)?;
    if matches!(app.work, Work::Load(_) | Work::Curl(_) | Work::Sleep) {
        return Ok(None);
    }
    let asked = app.ports.first().copied();
    Ok(Some(config.port.or(asked).unwrap_or(program.port)))
}

fn find(name: &str) -> anyhow::Result<&'static Program> {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    program.with_context(|| {
        let known = NAMES.join(", ");
        format!("there is no sample program {name:?}; the programs are {known}")
    })
}

/// Starts what answers by gRPC beside a program. It ends with the value.
async fn beside(
    name: &str,
    bind: IpAddr,
    flags: Option<ext_authz::Flags>,
) -> anyhow::Result<JoinSet<()>> {
    let mut beside = JoinSet::new();
    let Some(flags) = flags else {
        return Ok(beside);
    };
    let address = SocketAddr::new(bind, flags.grpc);
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("failed to listen on {address}; -grpc chooses another port"))?;
    tracing::info!(program = name, %address, "listening for gRPC");
    beside.spawn(ext_authz::serve(listener, flags.allow_account));
    Ok(beside)
}

async fn listen(config: Config, port: u16) -> anyhow::Result<TcpListener> {
    if let Some(listener) = config.listener {
        listener.set_nonblocking(true)?;
        return Ok(TcpListener::from_std(listener)?);
    }
    bind_to(SocketAddr::new(config.bind, config.port.unwrap_or(port))).await
}

async fn bind_to(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("failed to listen on {address}; PORT chooses another port, MESH_BIND_ADDRESS another address")
    })
}

/// `fortio server` is an echo; `load` and `curl` send requests.
fn fortio(config: &Config) -> anyhow::Result<App> {
    let command = |arg: &&String| arg.ends_with("fortio");
    let mut args = config.args.iter().skip_while(command);
    let work = match args.next().map(String::as_str) {
        None | Some("server") => return Ok(App::new(Echo::new(config))),
        Some("load") => Load::parse(&args.cloned().collect::<Vec<_>>())?,
        Some("curl") => {
            let request = Load::parse(&args.cloned().collect::<Vec<_>>())?;
            return Ok(App {
                work: Work::Curl(request),
                ports: Vec::new(),
            });
        }
        Some(other) => bail!("there is no command {other:?}, expected server, load or curl"),
    };
    Ok(App {
        work: Work::Load(work),
        ports: Vec::new(),
    })
}

/// `hello` and `world` are one program with different words. Any argument means that the public
/// image's flags are in charge, so its defaults hold then and not ours.
fn hello(config: &Config, text: &str, target: Option<&str>) -> anyhow::Result<App> {
    let flags = if config.args.is_empty() {
        Flags::of(text, target)
    } else {
        Flags::parse(&config.args)?
    };
    let ports = flags.port.into_iter().collect();
    Ok(App {
        ports,
        ..App::new(Hello::new(config, flags)?)
    })
}

// === impl App ===

impl App {
    fn new(handler: impl Handler) -> App {
        App {
            work: Work::Http(Arc::new(handler), None),
            ports: Vec::new(),
        }
    }

    fn tcp(program: impl Conversation) -> App {
        App {
            work: Work::Tcp(Arc::new(program)),
            ports: Vec::new(),
        }
    }
}
