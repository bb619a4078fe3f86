//! Which of our programs an image stands for: those of the mesh, under our names and Istio's, and the samples.

use mesh_node::{Builtin, Program, repository};

/// The program of images with tools to send requests by. What they run is a command of their own.
const IDLE: &str = "sleep";

/// What is built in for an image.
pub fn builtin(image: &str, command: &[String], args: &[String]) -> Option<Builtin> {
    let sample = || {
        let program = mesh_samples::program_for_image(image)?;
        if program == IDLE && !only_sleeps(command, args) {
            return None;
        }
        Some(Builtin {
            program: with(&["sample", program], args),
            is_platform: false,
        })
    };
    mesh(image, args).or_else(sample)
}

/// Whether a container does nothing, so that requests can be sent from it. Other commands of such images are run only where the user asks for
/// it, since they would be commands of this machine.
fn only_sleeps(command: &[String], args: &[String]) -> bool {
    let word = command.iter().chain(args).next();
    word.is_some_and(|word| word == "sleep" || word.ends_with("/sleep"))
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
        "pilot" if ours => with(&["pilot-discovery"], args),
        "proxyv2" if ours => with(&["pilot-agent"], args),
        _ => return None,
    };
    Some(Builtin {
        program,
        is_platform: true,
    })
}

fn with(words: &[&str], args: &[String]) -> Program {
    let words = words.iter().map(|word| (*word).to_owned());
    Program::Builtin(words.chain(args.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_of_mesh_and_samples_are_programs() {
        let args = ["a".to_owned()];
        let program = |image: &str| {
            let builtin = builtin(image, &[], &args)?;
            Some((builtin.program, builtin.is_platform))
        };
        let pilot = Some((with(&["pilot-discovery"], &args), true));
        assert_eq!(program("meshctl/pilot:0.1.0"), pilot);
        assert_eq!(program("docker.io/istio/pilot:1.28.0"), pilot);
        assert_eq!(
            program("meshctl/proxyv2:1@sha256:00"),
            Some((with(&["pilot-agent"], &args), true))
        );
        assert_eq!(
            program("istio/proxyv2:1"),
            Some((with(&["pilot-agent"], &args), true))
        );
        let reviews = program("docker.io/istio/examples-bookinfo-reviews-v1:1");
        assert!(
            matches!(reviews, Some((Program::Builtin(_), false))),
            "{reviews:?}"
        );
        assert_eq!(program("busybox"), None);
        let sleep = ["/bin/sleep".to_owned(), "infinity".to_owned()];
        let idle = builtin("curlimages/curl", &sleep, &[]).map(|idle| idle.program);
        assert_eq!(idle, Some(with(&["sample", "sleep"], &[])));
        let other = [
            "sh".to_owned(),
            "-c".to_owned(),
            "curl example.com".to_owned(),
        ];
        assert_eq!(
            builtin("curlimages/curl", &other, &[]).map(|idle| idle.program),
            None
        );
    }
}
