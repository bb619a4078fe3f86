//! A directory with files, in which the binary runs away from the user's own clusters, and what a run gave.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mesh_tests::meshctl;
use tempfile::TempDir;

/// A directory of a test's own.
pub struct Place {
    directory: TempDir,
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

// === impl Place ===

impl Place {
    /// An empty directory.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        Self { directory }
    }

    /// Writes a file.
    pub fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The binary with arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = meshctl(self.directory.path());
        command
            .current_dir(self.directory.path())
            .env_remove("KUBERNETES_SERVICE_HOST")
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("the binary starts"))
    }

    /// Runs the binary with a text on its standard input.
    pub fn run_with(&self, input: &str, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        // A binary that fails before it reads closes the pipe, which is no fault of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs a line of bash in which `$MESHCTL` is the binary.
    pub fn bash(&self, line: &str) -> Ran {
        let inner = self.command(&[]);
        let mut command = Command::new("bash");
        command
            .args(["-c", line])
            .current_dir(self.directory.path())
            .env("MESHCTL", inner.get_program());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ran::of(command.output().expect("bash starts"))
    }
}

// === impl Ran ===

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the binary writes UTF-8");
        Self {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().expect("the binary is not killed"),
        }
    }

    /// Asserts how it ended, and that nothing panicked.
    #[track_caller]
    pub fn ends(&self, code: i32) -> &Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Asserts that data holds a text.
    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text),
            "stdout has no {text:?}:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that talk holds a text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "stderr has no {text:?}:\n{}",
            self.stderr
        );
        self
    }

    /// Asserts that there is no data.
    #[track_caller]
    pub fn prints_nothing(&self) -> &Self {
        assert_eq!(self.stdout, "", "stderr:\n{}", self.stderr);
        self
    }
}

/// A file of the repository.
pub fn repository(path: &str) -> String {
    mesh_tests::root().join(path).to_string_lossy().into_owned()
}

/// A fixture of this suite.
pub fn fixture(path: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/fixtures");
    fixtures.join(path).to_string_lossy().into_owned()
}
