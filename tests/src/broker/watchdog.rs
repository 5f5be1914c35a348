//! What cleans up after a node, whatever becomes of the test process.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Writes the process group into `$1/group`, then becomes `$2`. Without the folder, which the watchdog has taken away
/// then, nothing is started.
const LAUNCH: &str = r#"echo "-$$" >"$1/group.new" && mv "$1/group.new" "$1/group" && exec "$2""#;

/// Reads its input until the owner is gone, then removes every trace. `$1` is the node's folder, `$2` its epmd's port,
/// `$3` the program epmd.
///
/// The folder is renamed first: a launch that comes later finds none, and one that came earlier has written its group.
const WATCHDOG: &str = r#"
trap "" HUP INT TERM
cat
mv "$1" "$1.ended"
for file in "$1.ended/group" "$1.ended/pid"; do
    if [ -s "$file" ]; then
        kill -s KILL -- "$(cat "$file")"
    fi
done
tries=0
# epmd does not end as long as it believes that the node lives.
while [ $tries -lt 50 ] && "$3" -port "$2" -names && ! "$3" -port "$2" -kill; do
    tries=$((tries + 1))
    sleep 0.1
done
# A node that was not dead at once may have made its folder anew.
rm -rf "$1" "$1.ended"
"#;

/// `program`, to be started in a process group of its own, which the watchdog of `folder` knows from the start.
pub(super) fn launch(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LAUNCH, "launch"]).arg(folder).arg(program).process_group(0);
    command
}

/// Starts the watchdog of a node's folder.
pub(super) fn watch(folder: &Path, epmd_port: u16) -> Child {
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(folder)
        .arg(epmd_port.to_string())
        // Without the program there is nothing to be done about epmd, and the watchdog goes on.
        .arg(epmd().unwrap_or_else(|| "epmd".into()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Not killed together with the tests by a Ctrl-C in the terminal.
        .process_group(0)
        .spawn()
        .expect("sh runs")
}

/// The program epmd: on the search path, or where Erlang is, which need not put it there.
fn epmd() -> Option<PathBuf> {
    find_epmd(&search_path())
}

fn find_epmd(search_path: &[PathBuf]) -> Option<PathBuf> {
    let program = |folder: &PathBuf| Some(folder.join("epmd")).filter(|epmd| epmd.is_file());
    search_path.iter().find_map(program).or_else(|| {
        let erl = search_path.iter().find_map(|folder| fs::canonicalize(folder.join("erl")).ok())?;
        let bin = erl.parent()?;
        // `bin` has links to what the runtime system, in `erts-<version>`, brings along.
        let runtimes = fs::read_dir(bin.parent()?).into_iter().flatten().flatten();
        let runtimes = runtimes.filter(|entry| entry.file_name().to_string_lossy().starts_with("erts-"));
        std::iter::once(bin.to_owned())
            .chain(runtimes.map(|entry| entry.path().join("bin")))
            .find_map(|folder| program(&folder))
    })
}

pub(super) fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        process::id,
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    const DEADLINE: Duration = Duration::from_mins(1);

    /// An empty folder of this test, `name`.
    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("cachesync-broker-{name}-{}", id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// A program that runs until its input ends. Not one that was written just now: that cannot be run while another test
    /// starts a process, which has open for a moment what this one writes.
    fn cat() -> PathBuf {
        search_path()
            .into_iter()
            .map(|folder| folder.join("cat"))
            .find(|cat| cat.is_file())
            .expect("every system has it")
    }

    fn appears(file: &Path) {
        let start = Instant::now();
        while !file.exists() {
            assert!(start.elapsed() < DEADLINE, "{} does not appear", file.display());
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_watchdog_ends_what_was_launched_even_if_nobody_has_seen_it_start() {
        let folder = folder("watched");
        let mut watchdog = watch(&folder, 1);
        let mut process = launch(&folder, &cat()).stdin(Stdio::piped()).spawn().expect("sh runs");
        appears(&folder.join("group"));
        drop(watchdog.stdin.take());
        assert!(watchdog.wait().expect("our child").success());
        assert!(!process.wait().expect("our child").success());
        assert!(!folder.exists() && !folder.with_added_extension("ended").exists());
    }

    #[test]
    fn nothing_is_launched_after_the_watchdog_has_cleaned_up() {
        let folder = folder("late");
        let mut watchdog = watch(&folder, 1);
        drop(watchdog.stdin.take());
        watchdog.wait().expect("our child");
        let output = launch(&folder, &cat()).output().expect("sh runs");
        assert!(!output.status.success());
    }

    #[test]
    fn epmd_is_found_where_erlang_is() {
        let root = folder("erlang");
        let (path, erlang) = (root.join("path"), root.join("erlang"));
        for folder in [&path, &erlang.join("bin"), &erlang.join("erts-1.0/bin")] {
            fs::create_dir_all(folder).expect("a folder");
        }
        fs::write(erlang.join("bin/erl"), "").expect("written");
        assert_eq!(find_epmd(std::slice::from_ref(&path)), None);
        std::os::unix::fs::symlink(erlang.join("bin/erl"), path.join("erl")).expect("linked");
        assert_eq!(find_epmd(std::slice::from_ref(&path)), None);
        let root_seen = fs::canonicalize(&root).expect("it exists");
        for epmd in ["erlang/erts-1.0/bin/epmd", "erlang/bin/epmd"] {
            fs::write(root.join(epmd), "").expect("written");
            assert_eq!(find_epmd(std::slice::from_ref(&path)), Some(root_seen.join(epmd)));
        }
        fs::write(path.join("epmd"), "").expect("written");
        assert_eq!(find_epmd(std::slice::from_ref(&path)), Some(path.join("epmd")));
        fs::remove_dir_all(root).expect("removed");
    }
}
