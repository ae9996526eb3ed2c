//! What providers run: turns a scenario's image into one the simulated network can deploy.

use mock_yagna::Image;
use tempfile::TempDir;

use super::Workloads;
use crate::backend::Backend;
use crate::error::Error;
use crate::language::{ImageSource, Scenario};

/// An image for the simulated network, and the folder that has to live as long.
pub(crate) struct StagedImage {
    /// `None`: there is none, `deploy` fails.
    pub(crate) image: Option<Image>,
    _folder: Option<TempDir>,
}

impl From<Image> for StagedImage {
    fn from(image: Image) -> Self {
        StagedImage {
            image: Some(image),
            _folder: None,
        }
    }
}

impl Workloads {
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
            (None, _) => {
                let image = self.of(scenario)?.image();
                Ok(image.unwrap_or(Image::Shell).into())
            }
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
                    _folder: Some(folder),
                })
            }
        }
    }
}
