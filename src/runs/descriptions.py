"""What each chart and picture in TensorBoard shows: its text behind the (i), by the part of the tag before the `/`."""

POST = 'of the post "Feature Geometry in Toy Models: Pentagon vs Hexagon"'
DESCRIPTIONS = {
    "feature_dimensionality": "Share of the hidden space that each feature has to itself, 0 to 1 (no unit): "
    "|W_i|^2 / sum_j (W_i . W_j / |W_i|)^2. Two fifths in a pentagon, a third in a hexagon.",
    "example_dimensionality": "The same share for the hidden vector of each training example.",
    "dimensionality": "Of the largest feature and of the median example, beside m / T: what each of T examples has if "
    "they share the m dimensions evenly.",
    "feature_loss": "Mean squared error of each feature over the whole distribution, by training step. A feature that "
    f"is not learned costs about p / 3. Figures 10 and 12 {POST}.",
    "feature_norm": "Length of each column of W, by training step: 1 is the unit circle of the pictures.",
    "frobenius_norm": "Length of the whole of W, by training step, beside sqrt(5), five unit vectors. "
    f"About 2.5 in a pentagon, 2.9 in a hexagon. Figure 8 {POST}.",
    "geometry_share": "Share of the instances, 0 to 1, whose columns have each geometry at a training step.",
    "gradient_norm": "Length of the loss's gradient with respect to each column of W: its mean over the steps since "
    f"the last point, each on that step's batch. Figures 9 and 11 {POST}.",
    "landscape": "What the certificates say of the point near which each instance ended.",
    "loss": "Mean squared error over examples and features, on the whole distribution; `training` is that of the "
    f"batches trained on. Figures 10 and 12 {POST}.",
    "n_learned": f"How many features have a direction of their own. Figures 10 and 12 {POST}.",
    "outcome": "What the run ended in, as the HPARAMS tab shows it.",
    "Pictures/polygons": "Columns of W as spokes, those that are learned joined in the order of their angles, over the "
    "unit circle. Feature i has the colour of its curves. Move the slider to see them form. With three hidden "
    "dimensions they are solids, which the slider turns; with one, marks on a line, and with more than three W^T W.",
    "Pictures/gram": "W^T W, blue where two features share a direction and red where they oppose each other. Beside it "
    "a bar for each feature: the length of its column, in the colour of its superposition, sum_{j != i} "
    "(W_i / |W_i| . W_j)^2, and its dimensionality. Move the slider to see them form.",
    "Pictures/examples": "Hidden vectors of the training examples, drawn as the polygons are.",
    "Pictures/exemplars": "The typical instance of each geometry: that of median norm.",
    "Pictures/gallery": "Many instances in the colours of their geometries. Polygons are turned so that the longest "
    "column points up, solids so that their axis of symmetry does.",
    "Pictures/shares": "How many instances have which geometry at which step, with 95 % Wilson intervals.",
    "Pictures/basin": "What each initial value of one column led to.",
    "Pictures/patching": "What patched columns led to, arm by arm, with 95 % Wilson intervals.",
    "pair_angles": "Angle between the columns of two features, in degrees, by training step; none where one is a stub.",
}


def description(tag: str) -> str:
    """Of a chart or a picture; empty for one of a user's own."""
    return DESCRIPTIONS.get(tag) or DESCRIPTIONS.get(tag.partition("/")[0], "")
