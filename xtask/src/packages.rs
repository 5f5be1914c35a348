//! Programs that tests and benchmarks need, from Debian's packages.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Asked by Debian's packages whether they may start their service.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the package `$2` without starting a service that nobody asked for, now or at the next boot. `$1` is
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
apt-get -o DPkg::Lock::Timeout=60 install -y -qq --no-install-recommends "$2"
# A package enables its service, if it has one, even where it may not start it. Without systemd there is nothing to disable.
if command -v systemctl >/dev/null; then
    systemctl disable --quiet "$2" || true
fi
"#;

/// Installs a package, unless what is needed of it is there, or says what to do.
pub(crate) fn provide(package: &str, is_installed: impl Fn() -> bool, instructions: &'static str) -> Result<()> {
    if is_installed() {
        return Ok(());
    }
    let Some(root) = root() else { bail!(instructions) };
    install(&root, package).context(instructions)?;
    if !is_installed() {
        bail!("the package {package} was installed, and what is needed of it is not there; {instructions}");
    }
    Ok(())
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

fn install(root: &[&str], package: &str) -> Result<()> {
    eprintln!("installing {package}");
    let shell = ["sh", "-c", INSTALL, "install", SERVICE_POLICY, package];
    let mut words = root.iter().chain(&shell);
    let program = words.next().context("an empty command")?;
    let status = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{program}` cannot be started"))?;
    if !status.success() {
        bail!("the package {package} could not be installed: {status}");
    }
    eprintln!(
        "note: {package} is installed; a service of its own was not started, unless {SERVICE_POLICY} of this machine allows \
         it, and where there is systemd it is disabled (undo with `systemctl enable {package}`)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        path::PathBuf,
        process::ExitStatus,
        sync::{Mutex, MutexGuard, PoisonError},
    };

    use super::*;

    /// Held while a command is written, and while a process is started: until that has become its program it has open what
    /// others write, and what somebody may write to cannot be run.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
            let _alone = alone();
            fs::write(&command, text).expect("written");
            fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).expect("made executable");
        }

        /// Runs the installation; returns how it ended and what was called.
        fn install(&self) -> (ExitStatus, String) {
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::join_paths([self.0.clone()].into_iter().chain(env::split_paths(&path))).expect("a path");
            // Who runs the tests in the background may have had signals ignored, and a shell cannot undo that.
            let mut install = Command::new("env");
            install
                .args(["--default-signal=INT,TERM", "sh", "-c", INSTALL, "install"])
                .arg(self.policy())
                .arg("some-server")
                .env("PATH", path)
                .env("FOLDER", &self.0);
            let started = {
                let _alone = alone();
                install.spawn()
            };
            let status = started.and_then(|mut install| install.wait()).expect("sh runs");
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
        assert!(install.contains("install") && install.ends_with("some-server"), "{log}");
        assert_eq!((policy, disable), ("policy 101", "systemctl disable --quiet some-server"), "{log}");
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
