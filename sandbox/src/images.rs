//! Which of our programs an image stands for: those of the mesh, under our names and Istio's, and the samples.

use mesh_node::{Builtin, file_name, repository};

/// The program of images with tools to send requests by. What they run is a command of their own.
const IDLE: &str = "sleep";

/// What is built in for an image.
pub fn builtin(image: &str, command: &[String], args: &[String]) -> Option<Builtin> {
    mesh(image, args).or_else(|| sample(image, command, args))
}

fn sample(image: &str, command: &[String], args: &[String]) -> Option<Builtin> {
    let program = mesh_samples::program_for_image(image)?;
    if program == IDLE && !only_sleeps(command, args) {
        return None;
    }
    // Arguments may stand behind the program's name in its image.
    let own = match command {
        [name, own @ ..] if file_name(name) == program => own,
        _ => &[],
    };
    Some(Builtin {
        words: vec!["sample".to_owned(), program.to_owned()],
        args: [own, args].concat(),
        executable: (program != IDLE).then(|| program.to_owned()),
        is_platform: false,
    })
}

/// Whether a container does nothing, so that requests can be sent from it. Other commands of such images are run only where the user asks for
/// it, since they would be commands of this machine.
fn only_sleeps(command: &[String], args: &[String]) -> bool {
    let word = command.iter().chain(args).next();
    word.is_some_and(|word| file_name(word) == "sleep")
}

/// The mesh's own images.
fn mesh(image: &str, args: &[String]) -> Option<Builtin> {
    let mut parts = repository(image).rsplit('/');
    let (name, owner) = (parts.next()?, parts.next().unwrap_or_default());
    // Istio's images are mirrored under many registries; ours and theirs are told by the last part.
    let ours = matches!(
        owner,
        "meshctl" | "istio" | "istio-release" | "release" | "testing"
    );
    let program = match name {
        "pilot" if ours => "pilot-discovery",
        "proxyv2" if ours => "pilot-agent",
        _ => return None,
    };
    Some(Builtin {
        words: vec![program.to_owned()],
        args: args.to_vec(),
        executable: Some(program.to_owned()),
        is_platform: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_images_of_mesh_and_samples_are_programs() {
        let program = |image: &str| {
            let builtin = builtin(image, &[], &words(&["a"]))?;
            Some((
                [builtin.words, builtin.args].concat().join(" "),
                builtin.is_platform,
            ))
        };
        for (image, ran, is_platform) in [
            ("meshctl/pilot:0.1.0", "pilot-discovery a", true),
            ("docker.io/istio/pilot:1.28.0", "pilot-discovery a", true),
            ("meshctl/proxyv2:1@sha256:00", "pilot-agent a", true),
            ("istio/proxyv2:1", "pilot-agent a", true),
            (
                "docker.io/istio/examples-bookinfo-reviews-v1:1",
                "sample reviews-v1 a",
                false,
            ),
        ] {
            assert_eq!(program(image), Some((ran.to_owned(), is_platform)));
        }
        assert_eq!(program("busybox"), None);
    }

    #[test]
    fn arguments_follow_the_name_of_the_program_or_stand_alone() {
        let ran = |command: &[&str], args: &[&str]| {
            let found = builtin("fortio/fortio", &words(command), &words(args)).unwrap();
            [found.words, found.args].concat().join(" ")
        };
        assert_eq!(ran(&[], &["load", "x"]), "sample fortio load x");
        assert_eq!(
            ran(&["/usr/bin/fortio", "load"], &["x"]),
            "sample fortio load x"
        );
        assert_eq!(ran(&["/bin/sh", "-c", "y"], &["x"]), "sample fortio x");
    }

    #[test]
    fn images_of_tools_only_sleep_by_themselves() {
        let ran = |command: &[&str]| builtin("curlimages/curl", &words(command), &[]);
        let idle = ran(&["/bin/sleep", "infinity"]).unwrap();
        assert_eq!(idle.words, words(&["sample", "sleep"]));
        // This machine's own `sleep` is what runs by that name.
        assert_eq!(idle.executable, None);
        assert_eq!(ran(&["sh", "-c", "curl example.com"]), None);
    }
}
