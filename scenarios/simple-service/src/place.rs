//! Where the executables keep their files, and how a file transfer of the activity names them.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, PlotKind};

/// Names a directory for database and plots, instead of the one that is found.
pub const DIRECTORY_VARIABLE: &str = "SIMPLE_SERVICE_DIR";

/// The directories of one running service.
///
/// A provider gives each activity a root of its own, with the volumes `/golem/work` and
/// `/golem/output` in it, and runs commands somewhere below that root. So the volumes are looked
/// for from the current directory upwards: this finds `/golem/work` in a virtual machine or a
/// changed root, and `<activity>/golem/work` where the runtime only changes the directory. Both
/// print `/golem/output/…`, because a transfer counts from the activity's root. Elsewhere (a
/// developer's machine) the current directory serves. Never the folder of the executables:
/// activities may share it, and it may be read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    data: PathBuf,
    plots: PathBuf,
    /// The directory of the plots as transfers name it.
    shown: PathBuf,
}

impl Place {
    /// The place of this process.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory does not exist (any more).
    pub fn find() -> Result<Place, Error> {
        let current = std::env::current_dir().map_err(Error::io("find the directory", "."))?;
        Place::resolve(std::env::var_os(DIRECTORY_VARIABLE), &current)
    }

    /// The place for a directory given by the environment, if any, and a current directory.
    ///
    /// # Errors
    /// [`Error::Io`] when the given directory does not exist: it is not made, so that a daemon
    /// cannot bring back the directory of an activity that is gone.
    pub fn resolve(given: Option<OsString>, current: &Path) -> Result<Place, Error> {
        if let Some(given) = given.filter(|given| !given.is_empty()) {
            let path = current.join(given);
            let path = fs::canonicalize(&path).map_err(Error::io("find the directory", path))?;
            return Ok(Place {
                data: path.clone(),
                plots: path.clone(),
                shown: path,
            });
        }
        let volumes =
            |root: &&Path| root.join("golem/work").is_dir() && root.join("golem/output").is_dir();
        Ok(match current.ancestors().find(volumes) {
            Some(root) => Place {
                data: root.join("golem/work"),
                plots: root.join("golem/output"),
                shown: PathBuf::from("/golem/output"),
            },
            None => Place {
                data: current.to_owned(),
                plots: current.to_owned(),
                shown: current.to_owned(),
            },
        })
    }

    /// The directory of the database.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.data.join("observations.db")
    }

    /// The file with the daemon's process id.
    pub fn daemon(&self) -> PathBuf {
        self.data.join("simulate_observations.pid")
    }

    /// Writes a plot and returns its path as a transfer names it. A reader sees either the plot
    /// before or the whole new one.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn write_plot(&self, kind: PlotKind, png: &[u8]) -> Result<PathBuf, Error> {
        let name = kind.file_name();
        let path = self.plots.join(name);
        let new = self.plots.join(format!(".{name}.{}", std::process::id()));
        fs::write(&new, png).map_err(Error::io("write", &new))?;
        fs::rename(&new, &path).map_err(Error::io("write", &path))?;
        Ok(self.shown.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for volume in ["golem/work", "golem/output", "golem/run"] {
            fs::create_dir_all(root.path().join(volume)).expect("a volume");
        }
        root
    }

    #[test]
    fn plots_of_an_activity_are_named_from_its_root_wherever_the_command_runs() {
        let root = activity();
        for directory in ["", "golem/work", "golem/run"] {
            let place = Place::resolve(None, &root.path().join(directory)).expect("a place");
            assert_eq!(
                place.database(),
                root.path().join("golem/work/observations.db")
            );
            let shown = place.write_plot(PlotKind::Dist, b"png").expect("written");
            assert_eq!(shown, Path::new("/golem/output/dist.png"));
            let written = fs::read(root.path().join("golem/output/dist.png"));
            assert_eq!(written.expect("the plot"), b"png");
        }
    }

    #[test]
    fn outside_of_an_activity_everything_is_in_the_current_directory() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = Place::resolve(None, directory.path()).expect("a place");
        assert_eq!(place.data(), directory.path());
        let shown = place.write_plot(PlotKind::Time, b"png").expect("written");
        assert_eq!(shown, directory.path().join("time.png"));
        assert_eq!(
            fs::read_dir(directory.path()).expect("a listing").count(),
            1
        );
    }

    #[test]
    fn the_environment_decides_when_it_names_a_directory() {
        let (root, other) = (
            activity(),
            tempfile::tempdir().expect("a temporary directory"),
        );
        let given = Some(other.path().as_os_str().to_owned());
        let place = Place::resolve(given, root.path()).expect("a place");
        assert_eq!(
            place.data(),
            fs::canonicalize(other.path()).expect("a path")
        );
        let gone = Some(other.path().join("gone").into_os_string());
        assert!(Place::resolve(gone, root.path()).is_err());
    }
}
