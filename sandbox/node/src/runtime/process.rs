//! Processes: one group per container, whose end is the end of everything in it.
//!
//! Two things guarantee that nothing outlives the sandbox. Every process has one end of a pipe as its standard input,
//! whose other end only the sandbox holds: when the sandbox is gone, even by SIGKILL, the pipe ends, and our programs
//! (a foreign command's supervisor among them) kill their group. And every group is recorded in the state directory
//! with the start time of its leader, so that `down` and the next `up` can kill what is left without ever hitting a
//! stranger that got the number since.

use std::io::{self, PipeReader, PipeWriter};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::Streams;

/// The variable that tells a built-in program to watch its standard input for the sandbox's end.
pub const WATCH_VARIABLE: &str = "MESH_WATCH_STDIN";

/// Starts processes and keeps the records of their groups.
pub struct Processes {
    /// None where processes end with the namespace that they are in.
    record: Option<Record>,
}

struct Record {
    groups: PathBuf,
    lifeline: PipeReader,
    /// Never written to: its closing, by whatever way this process ends, is the message.
    _held: PipeWriter,
}

impl Processes {
    /// Keeps records under `groups`, which is created.
    pub fn new(groups: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&groups)?;
        let (lifeline, held) = io::pipe()?;
        let record = Record {
            groups,
            lifeline,
            _held: held,
        };
        Ok(Self {
            record: Some(record),
        })
    }

    /// Keeps no records: something else ends all processes with the sandbox.
    pub fn unrecorded() -> Self {
        Self { record: None }
    }

    /// Starts a command as the leader of a new group.
    pub fn spawn(&self, mut command: Command, streams: Streams) -> io::Result<Process> {
        let mut is_session = false;
        match streams {
            Streams::Output => {
                if let Some(record) = &self.record {
                    command
                        .env(WATCH_VARIABLE, "1")
                        .stdin(Stdio::from(record.lifeline.try_clone()?));
                } else {
                    command.stdin(Stdio::null());
                }
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
            }
            Streams::Pipes => {
                command
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
            }
            Streams::Terminal(side) => {
                // The program makes a session of its own, which is a group too.
                is_session = true;
                command
                    .stdin(Stdio::from(side.try_clone()?))
                    .stdout(Stdio::from(side.try_clone()?))
                    .stderr(Stdio::from(side));
            }
        }
        if !is_session {
            command.process_group(0);
        }
        command.kill_on_drop(true);
        let child = command.spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw);
        let group = group
            .ok_or_else(|| io::Error::other("the process ended before it could be followed"))?;
        let record = self
            .record
            .as_ref()
            .map(|record| record.groups.join(group.to_string()));
        if let Some(record) = &record {
            let started = start_time(group).unwrap_or_default();
            if let Err(error) = std::fs::write(record, started) {
                kill(group, Signal::SIGKILL);
                return Err(error);
            }
        }
        Ok(Process {
            child,
            group,
            record,
        })
    }
}

/// A started process. Dropping it kills its group.
pub struct Process {
    child: Child,
    group: Pid,
    record: Option<PathBuf>,
}

impl Process {
    /// The process id, which is the group's as well.
    pub fn id(&self) -> i32 {
        self.group.as_raw()
    }

    /// The input stream, once, where it was asked for.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The output streams, once.
    pub fn output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// The group, to signal it while someone waits for its end.
    pub fn group(&self) -> Group {
        Group(self.group)
    }

    /// Waits for the leader's end like [`Self::wait`], reading and forgetting what it prints.
    pub async fn wait_discarding_output(&mut self) -> Exit {
        let (stdout, stderr) = self.output();
        let drain = async {
            let mut sink = tokio::io::sink();
            if let Some(mut stream) = stdout {
                let _ = tokio::io::copy(&mut stream, &mut sink).await;
            }
        };
        let drain_errors = async {
            let mut sink = tokio::io::sink();
            if let Some(mut stream) = stderr {
                let _ = tokio::io::copy(&mut stream, &mut sink).await;
            }
        };
        let (exit, (), ()) = tokio::join!(self.wait(), drain, drain_errors);
        exit
    }

    /// Waits for the leader's end and then ends the rest of its group.
    pub async fn wait(&mut self) -> Exit {
        let status = self.child.wait().await;
        kill(self.group, Signal::SIGKILL);
        self.record.iter().for_each(|record| forget(record));
        status.map_or(
            Exit {
                code: 255,
                signal: None,
            },
            Exit::from,
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a completed wait the number may belong to someone else.
        if self.child.id().is_some() {
            kill(self.group, Signal::SIGKILL);
            self.record.iter().for_each(|record| forget(record));
        }
    }
}

/// A process group of ours.
#[derive(Clone, Copy, Debug)]
pub struct Group(Pid);

impl Group {
    /// Sends a signal to every process of the group.
    pub fn signal(self, signal: Signal) {
        kill(self.0, signal);
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 plus the signal's number when one ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        let signal = status.signal();
        Self {
            code: status.code().unwrap_or_else(|| 128 + signal.unwrap_or(127)),
            signal,
        }
    }
}

fn kill(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::debug!(%group, %signal, %error, "failed to signal a process group"),
    }
}

fn forget(record: &Path) {
    if let Err(error) = std::fs::remove_file(record)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(record = %record.display(), %error, "failed to remove the record of a process group");
    }
}

/// Kills the groups recorded under `groups` that are still the ones recorded; returns how many there were.
pub fn kill_recorded(groups: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(groups) else {
        return 0;
    };
    let mut killed = 0;
    for entry in entries.flatten() {
        let group = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .map(Pid::from_raw);
        let recorded = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if let Some(group) = group
            && !recorded.is_empty()
            && start_time(group).as_ref() == Some(&recorded)
        {
            kill(group, Signal::SIGKILL);
            killed += 1;
        }
        forget(&entry.path());
    }
    killed
}

/// When a process started, in the kernel's own terms: equal only for the same process. Known on Linux.
pub fn start_time(process: Pid) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold spaces; the 22nd is the start time.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(directory: &Path) -> Processes {
        Processes::new(directory.join("groups")).unwrap()
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_process_leaves_code_and_no_record() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = processes(directory.path())
            .spawn(shell("exit 3"), Streams::Output)
            .unwrap();
        assert_eq!(
            process.wait().await,
            Exit {
                code: 3,
                signal: None
            }
        );
        assert_eq!(
            std::fs::read_dir(directory.path().join("groups"))
                .unwrap()
                .count(),
            0
        );
    }

    #[tokio::test]
    async fn recorded_groups_are_killed_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = processes(directory.path())
            .spawn(shell("sleep 600 & wait"), Streams::Output)
            .unwrap();
        let groups = directory.path().join("groups");
        std::fs::write(groups.join("1"), "not the start time of process 1").unwrap();
        assert_eq!(kill_recorded(&groups), 1, "ours, and not a stranger's");
        assert_eq!(process.wait().await.signal, Some(9));
    }

    #[tokio::test]
    async fn the_lifeline_ends_with_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let processes = processes(directory.path());
        let mut process = processes
            .spawn(shell("cat; exit 7"), Streams::Output)
            .unwrap();
        drop(processes);
        assert_eq!(process.wait().await.code, 7);
    }
}
