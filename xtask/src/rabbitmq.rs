//! Where the tests' RabbitMQ comes from.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Where Debian's package puts its scripts; the tests run nodes from there.
const DEBIAN_SCRIPT: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Asked by Debian's packages whether they may start their service.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the package without starting a broker that nobody asked for, now or at the next boot. `$1` is
/// [`SERVICE_POLICY`]: it answers 101, "not allowed". If the machine has a policy of its own, that one stays.
///
/// One shell, so that the policy is taken away again however this ends. It is written by the same user, root, and not
/// moved from a place where others may write.
const INSTALL: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
trap 'exit 130' HUP INT TERM
if [ ! -e "$1" ] && [ ! -L "$1" ]; then
    trap 'rm -f "$1"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$1"
    chmod 755 "$1"
fi
# A repository that is not ours to mend may fail; what matters is whether the package can be had.
apt-get -o DPkg::Lock::Timeout=60 update -qq || true
apt-get -o DPkg::Lock::Timeout=60 install -y -qq --no-install-recommends rabbitmq-server
# The package enables its service even where it may not start it. Without systemd there is nothing to disable.
if command -v systemctl >/dev/null; then
    systemctl disable --quiet rabbitmq-server || true
fi
"#;

const INSTRUCTIONS: &str = "some tests need RabbitMQ, which is not installed and cannot be installed from here; do one of\n  \
    - `apt-get install rabbitmq-server` as root (Debian, Ubuntu), or your system's package of RabbitMQ\n  \
    - set CACHESYNC_AMQP_URL to a broker's URL, such as amqp://guest:guest@localhost (tests that kill a broker will fail)";

/// Makes sure that the tests find a RabbitMQ, see `cargo xtask help test`.
pub(crate) fn provide() -> Result<()> {
    // It may hold a password, so it is not shown.
    if env::var_os("CACHESYNC_AMQP_URL").is_some_and(|url| !url.is_empty()) {
        if !is_installed() {
            eprintln!("note: rabbitmq-server is not installed; tests that kill a broker will fail");
        }
        return Ok(());
    }
    if is_installed() {
        return Ok(());
    }
    let Some(root) = root() else { bail!(INSTRUCTIONS) };
    install(&root).context(INSTRUCTIONS)?;
    if !is_installed() {
        bail!("the package rabbitmq-server was installed, and there is no {DEBIAN_SCRIPT}; {INSTRUCTIONS}");
    }
    Ok(())
}

fn is_installed() -> bool {
    Path::new(DEBIAN_SCRIPT).is_file() || on_path("rabbitmq-server")
}

pub(crate) fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// What makes a command run as root: nothing, or sudo. `None` if neither is possible without asking, or there is no apt.
pub(crate) fn root() -> Option<Vec<&'static str>> {
    let quiet =
        |command: &mut Command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !on_path("apt-get") {
        return None;
    }
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        return Some(Vec::new());
    }
    let sudo = on_path("sudo") && quiet(Command::new("sudo").args(["-n", "true"])).is_ok_and(|status| status.success());
    sudo.then(|| vec!["sudo", "-n"])
}

fn install(root: &[&str]) -> Result<()> {
    eprintln!("installing rabbitmq-server for the tests");
    let mut words = root.iter().chain(&["sh", "-c", INSTALL, "install", SERVICE_POLICY]);
    let program = words.next().context("an empty command")?;
    let status = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{program}` cannot be started"))?;
    if !status.success() {
        bail!("the package rabbitmq-server could not be installed: {status}");
    }
    eprintln!(
        "note: rabbitmq-server is installed; its service was not started, unless {SERVICE_POLICY} of this machine allows \
         it, and where there is systemd it is disabled (undo with `systemctl enable rabbitmq-server`)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::ExitStatus};

    use super::*;

    /// A folder with commands that say in `log` how they were called, instead of root's own.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str) -> Self {
            let folder = env::temp_dir().join(format!("cachesync-xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder");
            let machine = Self(folder);
            machine.command("systemctl", "exit 1");
            machine
        }

        fn policy(&self) -> PathBuf {
            self.0.join("policy-rc.d")
        }

        fn command(&self, name: &str, body: &str) {
            let command = self.0.join(name);
            let text = format!("#!/bin/sh\necho \"{name} $*\" >>\"$FOLDER/log\"\n{body}\n");
            fs::write(&command, text).expect("written");
            fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).expect("made executable");
        }

        /// Runs the installation; returns how it ended and what was called.
        fn install(&self) -> (ExitStatus, String) {
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::join_paths([self.0.clone()].into_iter().chain(env::split_paths(&path))).expect("a path");
            // Who runs the tests in the background may have had signals ignored, and a shell cannot undo that.
            let status = Command::new("env")
                .args(["--default-signal=INT,TERM", "sh", "-c", INSTALL, "install"])
                .arg(self.policy())
                .env("PATH", path)
                .env("FOLDER", &self.0)
                .status()
                .expect("sh runs");
            (status, fs::read_to_string(self.0.join("log")).unwrap_or_default())
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            // A failing test must not fail once more here.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn no_service_may_start_while_the_package_is_installed_and_none_at_the_next_boot() {
        let machine = Machine::new("fresh");
        machine.command("apt-get", r#""$FOLDER/policy-rc.d"; echo "policy $?" >>"$FOLDER/log""#);
        let (status, log) = machine.install();
        assert!(status.success() && !machine.policy().exists(), "{log}");
        let [.., install, policy, disable] = log.lines().collect::<Vec<_>>()[..] else { panic!("{log}") };
        assert!(install.contains("install") && install.ends_with("rabbitmq-server"), "{log}");
        assert_eq!((policy, disable), ("policy 101", "systemctl disable --quiet rabbitmq-server"), "{log}");
    }

    #[test]
    fn a_policy_of_the_machine_stays_as_it_is() {
        let machine = Machine::new("policy");
        machine.command("apt-get", "");
        fs::write(machine.policy(), "its own").expect("written");
        assert!(machine.install().0.success());
        assert_eq!(fs::read_to_string(machine.policy()).expect("still there"), "its own");
    }

    #[test]
    fn a_repository_that_fails_does_not_keep_the_package_from_being_installed() {
        let machine = Machine::new("repository");
        machine.command("apt-get", r#"case "$*" in *update*) exit 100 ;; esac"#);
        let (status, log) = machine.install();
        assert!(status.success() && log.contains("install -y"), "{log}");
    }

    #[test]
    fn an_installation_that_fails_or_is_interrupted_leaves_no_policy_behind() {
        for (body, code) in [("exit 100", 100), ("kill -s INT $PPID", 130), ("kill -s TERM $PPID", 130)] {
            let machine = Machine::new(&format!("ended-{code}"));
            machine.command("apt-get", body);
            let (status, log) = machine.install();
            assert_eq!(status.code(), Some(code), "{body}: {log}");
            assert!(!machine.policy().exists(), "{body}");
            assert!(!log.contains("systemctl"), "{body}: {log}");
        }
    }
}
