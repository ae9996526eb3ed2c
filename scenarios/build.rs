//! Puts every file of `catalog/THEME/` into the program, so that none can be forgotten.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=catalog");
    let here = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let catalog = here.unwrap_or_default().join("catalog");
    let mut list = String::from("&[\n");
    for theme in sorted(&catalog)?.into_iter().filter(|path| path.is_dir()) {
        for file in sorted(&theme)? {
            if file.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let name = |path: &Path| path.file_stem().map(|it| it.to_string_lossy().into_owned());
            let (theme, name) = (name(&theme), name(&file));
            let (theme, name) = (theme.unwrap_or_default(), name.unwrap_or_default());
            let line = writeln!(list, "    ({theme:?}, {name:?}, include_str!({file:?})),");
            line.map_err(io::Error::other)?;
        }
    }
    list.push_str("]\n");
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    fs::write(out.join("catalog.rs"), list)
}
