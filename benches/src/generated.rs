//! Crates that a program writes, to measure what the compiler makes of them.
//!
//! They are built in the target folder of this program and with the lockfile of this workspace, so what they depend on is
//! what everything else here depends on, and is built once.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// The folder of this workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A crate of one program, in a folder of its own below the target folder.
#[derive(Debug)]
pub struct Generated {
    name: String,
    folder: PathBuf,
    target: PathBuf,
}

impl Generated {
    /// Writes the crate: its dependencies and what else is in its manifest, where `{workspace}` is the folder of this one, and
    /// the files of its `src`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(name: &str, dependencies: &str, files: &[(&str, &str)]) -> Result<Self> {
        let executable = env::current_exe()?;
        // A test is one folder deeper.
        let mut folders = executable.ancestors().skip(1).filter(|folder| !folder.ends_with("deps"));
        let target = folders.nth(1).context("this program is in no target folder")?.to_owned();
        let generated = Self { name: name.to_owned(), folder: target.join("generated").join(name), target };
        fs::create_dir_all(generated.folder.join("src"))?;
        let workspace = Path::new(WORKSPACE).canonicalize()?;
        generated.replace("Cargo.toml", &manifest(name, dependencies, &workspace))?;
        // Cargo drops what is not needed, and changes no version.
        fs::copy(workspace.join("Cargo.lock"), generated.folder.join("Cargo.lock"))?;
        for (file, text) in files {
            generated.replace(Path::new("src").join(file), text)?;
        }
        Ok(generated)
    }

    /// Writes one of its files again.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn replace(&self, file: impl AsRef<Path>, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Runs `cargo` on it, with a command such as `build` or `check` and its options.
    ///
    /// # Errors
    ///
    /// If that fails, with what cargo said.
    pub fn cargo(&self, arguments: &[&str], incremental: bool) -> Result<()> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(arguments)
            .args(["--offline", "--quiet", "--target-dir"])
            .arg(&self.target)
            .current_dir(&self.folder)
            .env("CARGO_INCREMENTAL", if incremental { "1" } else { "0" })
            .output()
            .context("cargo cannot be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`cargo {}` of {}: {}\n{said}", arguments.join(" "), self.name, output.status);
        Ok(())
    }

    /// The program, as it was built in this profile: `debug` or `release`.
    pub fn program(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join(&self.name)
    }
}

/// A workspace of its own, though it may be in the folder of this one. The profiles are those of this one, but for symbols,
/// which nobody looks at.
fn manifest(name: &str, dependencies: &str, workspace: &Path) -> String {
    let dependencies = dependencies.trim().replace("{workspace}", &workspace.display().to_string());
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.release]\nstrip = true\n\n[dependencies]\n{dependencies}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_the_crates_of_this_workspace_by_their_path() {
        let manifest = manifest("sites", "\ncachesync = { path = \"{workspace}/cachesync\" }\n", Path::new("/w"));
        assert!(manifest.contains("name = \"sites\"\n") && manifest.contains("[workspace]\n"), "{manifest}");
        assert!(manifest.contains("[dependencies]\ncachesync = { path = \"/w/cachesync\" }\n"), "{manifest}");
    }

    #[test]
    fn what_cargo_refuses_is_an_error_that_says_what_it_said() {
        let broken =
            Generated::write("broken-on-purpose", "", &[("main.rs", "fn main() { nothing() }")]).expect("written");
        let error = broken.cargo(&["check"], false).expect_err("there is no such function");
        assert!(error.to_string().contains("cannot find function `nothing`"), "{error:#}");
        broken.replace("src/main.rs", "fn main() {}").expect("written");
        broken.cargo(&["check"], false).expect("it is mended");
    }
}
