//! What providers run: turns a scenario's image into one the simulated network can deploy.

use indexmap::IndexMap;
use mock_yagna::Image;
use tempfile::TempDir;

use super::{Workload, Workloads};
use crate::backend::Backend;
use crate::error::Error;
use crate::language::{ImageSource, Scenario};

/// An image for the simulated network, and the folder that has to live as long.
pub(crate) struct StagedImage {
    /// `None`: there is none, `deploy` fails.
    pub(crate) image: Option<Image>,
    /// Of workloads that have images of their own beside each other.
    pub(crate) by_hash: IndexMap<String, Image>,
    _folder: Option<TempDir>,
}

impl From<Image> for StagedImage {
    fn from(image: Image) -> Self {
        StagedImage {
            image: Some(image),
            by_hash: IndexMap::new(),
            _folder: None,
        }
    }
}

impl Workloads {
    /// The images of all workloads: that of all, or each by its hash where they differ.
    fn images_of_workloads(&self, scenario: &Scenario) -> Result<StagedImage, Error> {
        let planned = scenario.planned(scenario.seed);
        let mut kinds: IndexMap<&str, (&dyn Workload, Option<String>)> = IndexMap::new();
        for planned in &planned {
            let workload = self.of(&planned.scenario)?;
            let service = planned.scenario.service.as_ref();
            let written = service.and_then(|service| service.image_hash.clone());
            let hash = written.or(workload.image_hash().map(str::to_owned));
            kinds.insert(workload.name(), (workload, hash));
        }
        if let [(workload, _)] = kinds.values().collect::<Vec<_>>()[..] {
            return Ok(workload.image().unwrap_or(Image::Shell).into());
        }
        let mut staged = StagedImage::from(Image::Shell);
        for (workload, hash) in kinds.into_values() {
            if let (Some(image), Some(hash)) = (workload.image(), hash) {
                staged.by_hash.insert(hash, image);
            }
        }
        Ok(staged)
    }

    /// Prepares the image of a scenario.
    pub(crate) fn image(
        &self,
        scenario: &Scenario,
        backend: Backend,
    ) -> Result<StagedImage, Error> {
        let failed = |reason: String| Error::Stage {
            backend: backend.name(),
            reason,
        };
        match (&scenario.image, backend) {
            (None, _) => self.images_of_workloads(scenario),
            (Some(ImageSource::Program(name)), _)
            | (Some(ImageSource::Processes(name)), Backend::Memory) => {
                let image = self.with_image(scenario, name)?.image();
                Ok(image.unwrap_or(Image::Shell).into())
            }
            (Some(ImageSource::Shell), _) => Ok(Image::Shell.into()),
            (Some(ImageSource::Scripted(answers)), _) => {
                Ok(Image::Scripted(answers.clone()).into())
            }
            (Some(ImageSource::Missing), _) => Ok(StagedImage {
                image: None,
                by_hash: IndexMap::new(),
                _folder: None,
            }),
            (Some(ImageSource::Folder(_)), Backend::Memory) => Err(failed(
                "an image folder holds real processes, which need real time: use --backend http"
                    .into(),
            )),
            (Some(ImageSource::Folder(folder)), _) => {
                let base = scenario.origin.folder.clone().unwrap_or_default();
                let dir = base.join(&folder.value);
                Ok(Image::Process { dir }.into())
            }
            (Some(ImageSource::Processes(name)), _) => {
                let workload = self.with_image(scenario, name)?;
                let folder = tempfile::Builder::new()
                    .prefix("rehearse-image-")
                    .tempdir()
                    .map_err(|error| failed(format!("cannot make an image folder: {error}")))?;
                workload
                    .write_image(folder.path())
                    .map_err(|error| failed(format!("cannot write the image folder: {error}")))?;
                let dir = folder.path().to_owned();
                Ok(StagedImage {
                    image: Some(Image::Process { dir }),
                    by_hash: IndexMap::new(),
                    _folder: Some(folder),
                })
            }
        }
    }
}
