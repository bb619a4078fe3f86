//! A pod: its network, and its containers in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::mount::{MsFlags, mount};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::files::{self, Source, View};
use super::world::NODE;
use super::{Shared, address, enter, network_files, tools};
use crate::runtime::{
    Launch, PodError, PodHandle, PodSpec, Process, SIDECAR, Streams, VolumeMount,
};

/// Where a container finds the program that built-in programs are run with.
const PROGRAM: &str = ".meshctl/meshctl";

/// The word after `builtin` for the first process of a container, which has [`mount_processes`] done before anything else.
pub const FIRST_WORD: &str = "first";

/// A port that does not accept by then counts as refusing.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The mark of the proxy's packets, by the number that is its user in a cluster.
const PROXY_MARK: &str = "1337";

/// The address of the API server's Service, the first of the range.
const API: &str = "10.96.0.1";

/// A pod of this back end.
pub struct Pod {
    shared: Arc<Shared>,
    spec: PodSpec,
    number: u16,
    namespaces: Arc<enter::Shared>,
    containers: Mutex<BTreeMap<String, Container>>,
}

/// What a container has beside the pod's namespaces.
#[derive(Clone, Default)]
struct Container {
    mounts: Option<Arc<File>>,
    /// Of the run that goes on.
    processes: Option<Arc<File>>,
}

/// Makes a pod's network.
pub async fn create(shared: Arc<Shared>, spec: PodSpec, number: u16) -> Result<Pod, PodError> {
    let directory = spec.directory.join("network");
    let own = address(number);
    write_files(&directory, &spec, own).map_err(PodError::system("writing its files"))?;
    let host_name = spec.host_name();
    let made = enter::on_thread(move || {
        let namespaces = enter::Shared::make()?;
        nix::unistd::sethostname(host_name)?;
        connect(number)?;
        Ok(namespaces)
    });
    let namespaces = made.await.map_err(PodError::system("making its network"))?;
    let plug = format!("link set pod{number} up\nroute add {own}/32 dev pod{number}\n");
    let plugged = enter::on_thread(move || tools::ip(&plug)).await;
    plugged.map_err(PodError::system("connecting its network"))?;
    Ok(Pod {
        shared,
        spec,
        number,
        namespaces: Arc::new(namespaces),
        containers: Mutex::default(),
    })
}

/// Lays a cable from the network of this thread to the world.
fn connect(number: u16) -> io::Result<()> {
    let world = std::process::id();
    let own = address(number);
    tools::ip(&format!(
        "link set lo up\n\
         link add eth0 type veth peer name pod{number} netns /proc/{world}/ns/net\n\
         addr add {own}/32 dev eth0\n\
         link set eth0 up\n\
         route add {NODE}/32 dev eth0 scope link\n\
         route add default via {NODE} dev eth0\n"
    ))
}

fn write_files(directory: &Path, spec: &PodSpec, own: Ipv4Addr) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let machine = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    fs::write(directory.join("hosts"), network_files::hosts(spec, own))?;
    fs::write(directory.join("hostname"), spec.host_name() + "\n")?;
    let resolv_conf = network_files::resolv_conf(spec, &machine);
    fs::write(directory.join("resolv.conf"), resolv_conf)
}

// === impl Pod ===

impl Pod {
    fn container<T>(&self, name: &str, change: impl FnOnce(&mut Container) -> T) -> T {
        let mut containers = self
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(containers.entry(name.to_owned()).or_default())
    }

    /// What the containers of the pod see.
    fn view(&self, mounts: Vec<VolumeMount>) -> View {
        let mut view = View::new();
        let network = self.spec.directory.join("network");
        let mut read_only = |at: &str, path: PathBuf| {
            let source = Source {
                path,
                is_read_only: true,
            };
            view.put(Path::new(at), source);
        };
        read_only(PROGRAM, self.shared.exe.clone());
        for name in ["hosts", "hostname", "resolv.conf"] {
            // As everywhere, a container may change these.
            let source = Source {
                path: network.join(name),
                is_read_only: false,
            };
            view.put(&Path::new("etc").join(name), source);
        }
        for mount in mounts {
            let source = Source {
                path: mount.source,
                is_read_only: mount.is_read_only,
            };
            view.put(&mount.at, source);
        }
        view
    }
}

impl PodHandle for Pod {
    fn address(&self) -> Ipv4Addr {
        address(self.number)
    }

    fn environment(&self, container: &str) -> Vec<(String, String)> {
        let mut variables = vec![
            ("HOME", "/"),
            ("KUBERNETES_SERVICE_HOST", API),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
            // All programs have one user here, so the proxy's packets are told from others by this.
            ("MESH_PROXY_MARK", PROXY_MARK),
        ];
        if container != SIDECAR {
            // What programs that run in the other back end too ask for.
            variables.push(("MESH_BIND_ADDRESS", "0.0.0.0"));
        }
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn mount<'a>(
        &'a self,
        container: &'a str,
        mounts: Vec<VolumeMount>,
    ) -> BoxFuture<'a, io::Result<()>> {
        async move {
            for mount in &mounts {
                if mount.is_made {
                    fs::create_dir_all(&mount.source)?;
                }
            }
            let view = self.view(mounts);
            let root = self.spec.directory.join(container).join("root");
            fs::create_dir_all(&root)?;
            let made = enter::on_thread(move || {
                let mounts = enter::make_mounts()?;
                files::make_root(&root, &view)?;
                Ok(mounts)
            });
            let mounts = Arc::new(made.await?);
            self.container(container, |known| {
                *known = Container {
                    mounts: Some(mounts),
                    processes: None,
                };
            });
            Ok(())
        }
        .boxed()
    }

    fn spawn<'a>(
        &'a self,
        container: &'a str,
        launch: Launch,
    ) -> BoxFuture<'a, io::Result<Process>> {
        async move {
            let known = self.container(container, |known| known.clone());
            let mounts = known.mounts.ok_or_else(no_container)?;
            let (shared, namespaces) = (self.shared.clone(), self.namespaces.clone());
            let spawned = enter::on_thread(move || {
                namespaces.enter()?;
                enter::enter_mounts(&mounts)?;
                enter::make_processes()?;
                fs::create_dir_all(directory(&launch))?;
                let (command, streams) = first(launch);
                shared.processes.spawn(command, streams)
            });
            let process = spawned.await?;
            // None when it has ended already.
            let processes = enter::processes_of(process.id()).ok().map(Arc::new);
            self.container(container, |known| known.processes = processes);
            Ok(process)
        }
        .boxed()
    }

    fn exec<'a>(
        &'a self,
        container: &'a str,
        launch: Launch,
    ) -> BoxFuture<'a, io::Result<Process>> {
        async move {
            let known = self.container(container, |known| known.clone());
            let mounts = known.mounts.ok_or_else(no_container)?;
            let processes = known.processes.ok_or_else(no_container)?;
            let (shared, namespaces) = (self.shared.clone(), self.namespaces.clone());
            enter::on_thread(move || {
                namespaces.enter()?;
                enter::enter_processes(&processes)?;
                enter::enter_mounts(&mounts)?;
                let (command, streams) = other(launch);
                shared.processes.spawn(command, streams)
            })
            .await
        }
        .boxed()
    }

    fn reach(&self, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        TcpStream::connect((self.address(), port)).boxed()
    }

    fn dial(&self, port: u16) -> BoxFuture<'static, io::Result<TcpStream>> {
        let namespaces = self.namespaces.clone();
        async move {
            let stream = enter::on_thread(move || {
                namespaces.enter_network()?;
                let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
                let stream = std::net::TcpStream::connect_timeout(&local, CONNECT_LIMIT)?;
                stream.set_nonblocking(true)?;
                Ok(stream)
            });
            TcpStream::from_std(stream.await?)
        }
        .boxed()
    }

    fn teardown(&self) -> BoxFuture<'_, ()> {
        // Cable and route go with the network, which goes with its last descriptor; its number may be used at once, so the cable's
        // end in the world goes now.
        let unplug = format!("link del pod{}\n", self.number);
        async move {
            if let Err(error) = enter::on_thread(move || tools::ip(&unplug)).await {
                tracing::debug!(%error, "failed to remove a pod's cable");
            }
            self.shared.pool.release(&self.spec.uid());
        }
        .boxed()
    }
}

/// Mounts the processes of this process's namespace, over those of the world: where these are not in sight, the kernel does not let
/// ordinary users mount others. Only a process of the namespace can do it.
///
/// # Errors
/// Where the kernel refuses.
pub fn mount_processes() -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let none = None::<&str>;
    Ok(mount(Some("proc"), "/proc", Some("proc"), flags, none)?)
}

fn no_container() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the container does not run")
}

/// The first program of a container, of whose process namespace it or a supervisor of it is the first process.
fn first(launch: Launch) -> (Command, Streams) {
    let mut command = ours();
    command.arg(FIRST_WORD).args(launch.supervised());
    dressed(command, launch)
}

/// Another program of a container, which nobody needs to supervise.
fn other(launch: Launch) -> (Command, Streams) {
    let has_terminal = matches!(launch.streams, Streams::Terminal(_));
    let command = match launch.words.split_first() {
        Some((word, rest)) if !launch.is_builtin && !has_terminal => {
            let mut command = Command::new(word);
            command.args(rest);
            command
        }
        _ => {
            let mut command = ours();
            command.args(launch.supervised());
            command
        }
    };
    dressed(command, launch)
}

/// `meshctl builtin`, as a container finds it.
fn ours() -> Command {
    let mut command = Command::new(Path::new("/").join(PROGRAM));
    command.arg0("meshctl").arg("builtin");
    command
}

fn dressed(mut command: Command, launch: Launch) -> (Command, Streams) {
    command
        .env_clear()
        .envs(&launch.environment)
        .current_dir(directory(&launch));
    (command, launch.streams)
}

fn directory(launch: &Launch) -> PathBuf {
    Path::new("/").join(launch.relative_directory())
}
