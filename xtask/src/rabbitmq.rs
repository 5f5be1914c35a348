//! Where the tests' RabbitMQ comes from.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Where Debian's package puts its scripts; the tests run nodes from there.
const DEBIAN_SCRIPT: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Asked by Debian's packages whether they may start their service.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

const INSTRUCTIONS: &str = "some tests need RabbitMQ, which is not installed and cannot be installed from here; do one of\n  \
    - `apt-get install rabbitmq-server` as root (Debian, Ubuntu), or your system's package of RabbitMQ\n  \
    - set CACHESYNC_AMQP_URL to a broker's URL, such as amqp://guest:guest@localhost (tests that kill a broker will fail)";

/// Makes sure that the tests find a RabbitMQ, see `cargo xtask help test`.
pub(crate) fn provide() -> Result<()> {
    if let Some(url) = env::var_os("CACHESYNC_AMQP_URL").filter(|url| !url.is_empty()) {
        if !is_installed() {
            eprintln!("note: rabbitmq-server is not installed; tests that kill a broker will fail");
        }
        // It may hold a password, so it is not shown.
        drop(url);
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

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// What makes a command run as root: nothing, or sudo. `None` if neither is possible without asking, or there is no apt.
fn root() -> Option<Vec<&'static str>> {
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
    let _no_service = ServicePolicy::deny(root)?;
    run(root, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update", "-qq"])?;
    run(
        root,
        &[
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "rabbitmq-server",
        ],
    )
}

/// Keeps the package from starting a broker that nobody asked for: `policy-rc.d` answers 101, "not allowed". If the
/// machine has a policy of its own, that one stays. Dropping it takes it away again.
struct ServicePolicy<'a> {
    root: &'a [&'a str],
    is_ours: bool,
}

impl<'a> ServicePolicy<'a> {
    fn deny(root: &'a [&'a str]) -> Result<Self> {
        if Path::new(SERVICE_POLICY).exists() {
            return Ok(Self { root, is_ours: false });
        }
        let draft = env::temp_dir().join(format!("cachesync-policy-rc.d-{}", std::process::id()));
        fs::write(&draft, "#!/bin/sh\nexit 101\n").context("the service policy cannot be written")?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))
            .context("the service policy cannot be written")?;
        let source = draft.to_str().context("the folder of temporary files has a name that is not UTF-8")?;
        let installed = run(root, &["install", "-m", "755", source, SERVICE_POLICY]);
        fs::remove_file(&draft).context("the draft of the service policy cannot be removed")?;
        installed.map(|()| Self { root, is_ours: true })
    }
}

impl Drop for ServicePolicy<'_> {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = run(self.root, &["rm", "-f", SERVICE_POLICY])
        {
            eprintln!("warning: {SERVICE_POLICY} keeps services from being started; remove it: {error:#}");
        }
    }
}

fn run(root: &[&str], command: &[&str]) -> Result<()> {
    let mut words = root.iter().chain(command);
    let program = words.next().context("an empty command")?;
    let status = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{program}` cannot be started"))?;
    if !status.success() {
        bail!("`{}` failed: {status}", command.join(" "));
    }
    Ok(())
}
