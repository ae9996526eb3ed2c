//! The picture around the data of a plot: title, axes with ticks and labels, and the way from
//! data to pixels to a PNG file. Knows nothing of what is plotted.
//!
//! Everything is drawn twice as large as the result and then averaged down: thick lines and
//! letters come out smooth, at positions finer than a pixel.

use std::{ops::RangeInclusive, sync::Once};

use plotters::{
    coord::Shift,
    element::{Circle, PathElement, Polygon, Rectangle, Text},
    prelude::{BitMapBackend, DrawingArea, IntoDrawingArea},
    style::{
        Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::Error;

/// The size of the picture in pixels.
pub(crate) const SIZE: (u32, u32) = (800, 500);

/// How much larger it is drawn.
const SCALE: u32 = 2;

/// The rectangle of the data within the picture.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 776.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 438.0;

const INK: RGBColor = RGBColor(33, 37, 41);
const FAINT: RGBColor = RGBColor(108, 117, 125);
const GRID: RGBColor = RGBColor(228, 231, 235);

const FONT: &str = "DejaVu Sans";

/// One axis: its range, what it measures, and the labelled places on it.
pub(crate) struct Axis {
    pub(crate) range: RangeInclusive<f64>,
    pub(crate) title: String,
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    fn part(&self, value: f64) -> f64 {
        (value - self.range.start()) / (self.range.end() - self.range.start())
    }
}

/// A picture in the making. Positions are values of the axes.
pub(crate) struct Frame<'a> {
    area: DrawingArea<BitMapBackend<'a>, Shift>,
    x: Axis,
    y: Axis,
}

/// Draws title, axes and the data (by `draw`) and returns the PNG file.
pub(crate) fn picture(
    title: &str,
    subtitle: &str,
    x: Axis,
    y: Axis,
    draw: impl FnOnce(&Frame<'_>) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        // A font that cannot be read shows as an error of the first text.
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
    });
    let (width, height) = (SIZE.0 * SCALE, SIZE.1 * SCALE);
    let mut pixels = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let frame = Frame { area, x, y };
        frame.grid()?;
        draw(&frame)?;
        frame.axes()?;
        frame.write(title, (LEFT, 22.0), 21.0, INK, HPos::Left)?;
        frame.write(subtitle, (LEFT, 50.0), 14.5, FAINT, HPos::Left)?;
        frame.area.present().map_err(Error::drawing)?;
    }
    encode(&halve(&pixels))
}

impl Frame<'_> {
    /// A line through the data.
    pub(crate) fn line(
        &self,
        points: impl IntoIterator<Item = (f64, f64)>,
        color: RGBColor,
        width: f64,
    ) -> Result<(), Error> {
        let points: Vec<_> = points.into_iter().map(|point| self.place(point)).collect();
        self.path(points, color, width)
    }

    /// A dashed line from one side to the other: `points` are its ends.
    pub(crate) fn dashes(
        &self,
        points: [(f64, f64); 2],
        color: RGBColor,
        width: f64,
    ) -> Result<(), Error> {
        const DASH: f64 = 7.0;
        let [from, to] = points.map(|point| self.place(point));
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |distance: f64| {
            let part = (distance / length).min(1.0);
            (
                from.0 + (to.0 - from.0) * part,
                from.1 + (to.1 - from.1) * part,
            )
        };
        // Never longer than the picture, so never many.
        for dash in 0..(length / (1.6 * DASH)).ceil() as u32 {
            let start = f64::from(dash) * 1.6 * DASH;
            self.path(vec![at(start), at(start + DASH)], color, width)?;
        }
        Ok(())
    }

    /// A filled rectangle between two corners, given in the data's values.
    pub(crate) fn bar(
        &self,
        from: (f64, f64),
        to: (f64, f64),
        color: RGBColor,
    ) -> Result<(), Error> {
        let ((left, bottom), (right, top)) = (self.place(from), self.place(to));
        // A gap of a pixel between neighbours, while there is room for one.
        let gap = if right - left > 4.0 { 0.5 } else { 0.0 };
        let corners = [pixel((left + gap, top)), pixel((right - gap, bottom))];
        self.area
            .draw(&Rectangle::new(corners, color.filled()))
            .map_err(Error::drawing)
    }

    /// The area between two lines: of each position, a lower and an upper value.
    pub(crate) fn band(&self, columns: &[(f64, f64, f64)], color: RGBColor) -> Result<(), Error> {
        let lower = columns.iter().map(|(x, lower, _)| (*x, *lower));
        let upper = columns.iter().rev().map(|(x, _, upper)| (*x, *upper));
        let outline: Vec<_> = lower
            .chain(upper)
            .map(|point| pixel(self.place(point)))
            .collect();
        self.area
            .draw(&Polygon::new(outline, color.filled()))
            .map_err(Error::drawing)
    }

    /// A dot at one observation.
    pub(crate) fn dot(&self, point: (f64, f64), color: RGBColor, radius: f64) -> Result<(), Error> {
        let radius = (radius * f64::from(SCALE)).round() as i32;
        let circle = Circle::new(pixel(self.place(point)), radius, color.filled());
        self.area.draw(&circle).map_err(Error::drawing)
    }

    /// A line for the reader's eye above the data, right-aligned: a sample of each colour with
    /// what it shows.
    pub(crate) fn legend(&self, entries: &[(RGBColor, String)]) -> Result<(), Error> {
        const TEXT: f64 = 14.0;
        let mut right = RIGHT;
        for (color, text) in entries.iter().rev() {
            let (width, _) = self
                .area
                .estimate_text_size(text, &style(TEXT, INK, HPos::Right))
                .map_err(Error::drawing)?;
            let width = f64::from(width) / f64::from(SCALE);
            self.write(text, (right, TOP - 15.0), TEXT, INK, HPos::Right)?;
            let sample = [
                (right - width - 24.0, TOP - 14.0),
                (right - width - 7.0, TOP - 14.0),
            ];
            self.path(sample.to_vec(), *color, 3.0)?;
            right -= width + 40.0;
        }
        Ok(())
    }

    /// A note in the middle, for a plot without data.
    pub(crate) fn note(&self, text: &str) -> Result<(), Error> {
        let middle = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        self.write(text, middle, 18.0, FAINT, HPos::Center)
    }

    fn grid(&self) -> Result<(), Error> {
        for (value, label) in &self.x.ticks {
            let x = self.place((*value, *self.y.range.start())).0;
            self.path(vec![(x, TOP), (x, BOTTOM + 4.0)], GRID, 1.0)?;
            self.write(label, (x, BOTTOM + 17.0), 14.0, INK, HPos::Center)?;
        }
        for (value, label) in &self.y.ticks {
            let y = self.place((*self.x.range.start(), *value)).1;
            self.path(vec![(LEFT - 4.0, y), (RIGHT, y)], GRID, 1.0)?;
            self.write(label, (LEFT - 9.0, y), 14.0, INK, HPos::Right)?;
        }
        Ok(())
    }

    fn axes(&self) -> Result<(), Error> {
        self.path(
            vec![(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)],
            FAINT,
            1.0,
        )?;
        let below = (f64::midpoint(LEFT, RIGHT), BOTTOM + 43.0);
        self.write(&self.x.title, below, 15.5, INK, HPos::Center)?;
        let beside = pixel((20.0, f64::midpoint(TOP, BOTTOM)));
        let turned = style(15.5, INK, HPos::Center).transform(FontTransform::Rotate270);
        self.area
            .draw(&Text::new(self.y.title.as_str(), beside, turned))
            .map_err(Error::drawing)
    }

    /// The place of a value, in pixels of the result.
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let x = LEFT + self.x.part(x) * (RIGHT - LEFT);
        let y = BOTTOM - self.y.part(y) * (BOTTOM - TOP);
        (x, y)
    }

    fn path(&self, points: Vec<(f64, f64)>, color: RGBColor, width: f64) -> Result<(), Error> {
        let points: Vec<_> = points.into_iter().map(pixel).collect();
        let stroke = (width * f64::from(SCALE)).round() as u32;
        let line = ShapeStyle::from(color).stroke_width(stroke);
        self.area
            .draw(&PathElement::new(points, line))
            .map_err(Error::drawing)
    }

    fn write(
        &self,
        text: &str,
        place: (f64, f64),
        size: f64,
        color: RGBColor,
        side: HPos,
    ) -> Result<(), Error> {
        let text = Text::new(text, pixel(place), style(size, color, side));
        self.area.draw(&text).map_err(Error::drawing)
    }
}

fn style(size: f64, color: RGBColor, side: HPos) -> TextStyle<'static> {
    let font = (FONT, size * f64::from(SCALE)).into_font();
    let mut style = TextStyle::from(font).pos(Pos::new(side, VPos::Center));
    style.color = color.to_backend_color();
    style
}

/// A position in the drawing, which is [`SCALE`] times as large as the result.
fn pixel((x, y): (f64, f64)) -> (i32, i32) {
    (
        (x * f64::from(SCALE)).round() as i32,
        (y * f64::from(SCALE)).round() as i32,
    )
}

/// The picture at half its size: each pixel is the mean of four.
fn halve(pixels: &[u8]) -> Vec<u8> {
    let row = (SIZE.0 * SCALE * 3) as usize;
    let mut half = Vec::with_capacity((SIZE.0 * SIZE.1 * 3) as usize);
    for rows in pixels.chunks_exact(2 * row) {
        let (upper, lower) = rows.split_at(row);
        for (upper, lower) in upper.chunks_exact(6).zip(lower.chunks_exact(6)) {
            for channel in 0..3 {
                let sum = u16::from(upper[channel])
                    + u16::from(upper[channel + 3])
                    + u16::from(lower[channel])
                    + u16::from(lower[channel + 3]);
                half.push(((sum + 2) / 4) as u8);
            }
        }
    }
    half
}

fn encode(pixels: &[u8]) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Flat areas under thin lines: each row is much like the one above, and more effort than the
    // least takes twice the time for a fifth of the size.
    encoder.set_filter(png::Filter::Up);
    encoder.set_deflate_compression(png::DeflateCompression::Level(1));
    let mut writer = encoder.write_header().map_err(Error::drawing)?;
    writer.write_image_data(pixels).map_err(Error::drawing)?;
    writer.finish().map_err(Error::drawing)?;
    Ok(file)
}
