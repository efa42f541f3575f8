"""The convex hull of points in space, with whole faces: a cube has six squares, not twelve triangles."""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError

FLAT = 0.08  # points whose extent across a plane, or a line, is less than this share of the largest lie on it
SAME_FACE = math.cos(
    math.radians(8)
)  # triangles turned against each other by less form one face: training is not exact


@dataclass(frozen=True)
class Hull:
    """What the points span: a solid, a flat polygon, a segment or nothing.

    Attributes:
        faces: the corners of each face, in order, as numbers of points; one face of a flat polygon.
        normals: of each face, outwards, of length 1.
        edges: two points each.
        sides: of each edge the two faces that meet there; none of a flat polygon or of a segment.
    """

    faces: list[list[int]] = field(default_factory=list)
    normals: list[Float[np.ndarray, "3"]] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    sides: list[tuple[int, int] | None] = field(default_factory=list)

    @property
    def is_solid(self) -> bool:
        return len(self.faces) > 1

    def faces_seen(self, points: Float[np.ndarray, "point 3"], eye: Float[np.ndarray, "3"]) -> list[bool]:
        """Whether each face shows its outer side to the eye; a flat polygon has no other."""
        corners = [points[face].mean(axis=0) for face in self.faces]
        return [
            not self.is_solid or float(normal @ (eye - corner)) > 0
            for normal, corner in zip(self.normals, corners, strict=True)
        ]

    def edges_seen(self, faces_seen: list[bool]) -> list[bool]:
        """Whether at least one of the faces that meet at each edge is seen."""
        return [side is None or faces_seen[side[0]] or faces_seen[side[1]] for side in self.sides]

    def corners_hidden(self, faces_seen: list[bool]) -> set[int]:
        """The corners all of whose faces are turned away."""
        corners = {i for face in self.faces for i in face}
        return corners - {i for face, is_seen in zip(self.faces, faces_seen, strict=True) if is_seen for i in face}


def hull_of(points: Float[np.ndarray, "point 3"]) -> Hull:
    """The hull of any number of points; points on a plane or on a line, or all in one place, are allowed."""
    if len(points) < 2:
        return Hull()
    centred = points - points.mean(axis=0)
    _, extents, axes = np.linalg.svd(centred / max(1e-12, np.abs(centred).max()), full_matrices=False)
    n_dimensions = int((extents > FLAT * extents[0]).sum()) if extents[0] > 0 else 0
    if n_dimensions == 0:
        return Hull()
    if n_dimensions == 1:
        along = centred @ axes[0]
        return Hull(edges=[(int(along.argmin()), int(along.argmax()))], sides=[None])
    try:
        return _flat(centred, axes) if n_dimensions == 2 else _solid(centred)
    except QhullError:  # the points differ by less than what can be told apart
        return Hull()


def _flat(points: Float[np.ndarray, "point 3"], axes: Float[np.ndarray, "axis 3"]) -> Hull:
    face = ConvexHull(points @ axes[:2].T).vertices.tolist()  # in order
    edges = list(zip(face, face[1:] + face[:1], strict=True))
    return Hull([face], [np.cross(axes[0], axes[1])], edges, [None] * len(edges))


def _solid(points: Float[np.ndarray, "point 3"]) -> Hull:
    hull = ConvexHull(points / np.abs(points).max())
    triangles, normals, neighbors = hull.simplices.tolist(), hull.equations[:, :3], hull.neighbors.tolist()
    sizes = _areas(points[hull.simplices])
    group_of = _merged(normals, sizes, neighbors)
    groups: dict[int, list[int]] = {}
    for triangle, group in enumerate(group_of):
        groups.setdefault(group, []).append(triangle)
    number = {group: k for k, group in enumerate(groups)}
    whole = [sizes[own] @ normals[own] for own in groups.values()]
    whole = [normal / max(1e-12, float(np.linalg.norm(normal))) for normal in whole]
    edges: list[tuple[int, int]] = []
    sides: list[tuple[int, int] | None] = []
    corners: list[set[int]] = [set() for _ in groups]
    for a, triangle in enumerate(triangles):
        for b, opposite in zip(neighbors[a], triangle, strict=True):  # a neighbour lies opposite to a corner
            if group_of[a] != group_of[b]:
                edge = sorted(i for i in triangle if i != opposite)
                corners[number[group_of[a]]].update(edge)
                if a < b:
                    edges.append((edge[0], edge[1]))
                    sides.append((number[group_of[a]], number[group_of[b]]))
    faces = [_in_order(points, sorted(own), normal) for own, normal in zip(corners, whole, strict=True)]
    return Hull(faces, whole, edges, sides)


def _areas(triangles: Float[np.ndarray, "triangle 3 3"]) -> Float[np.ndarray, " triangle"]:
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    areas: Float[np.ndarray, " triangle"] = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return areas


def _merged(
    normals: Float[np.ndarray, "triangle 3"], sizes: Float[np.ndarray, " triangle"], neighbors: list[list[int]]
) -> list[int]:
    """A group for each triangle: neighbours join, the flattest pair first, while all of a group face one way."""
    cosines = normals @ normals.T
    pairs = [(cosines[a, b], a, b) for a, own in enumerate(neighbors) for b in own if a < b]
    group_of, members = list(range(len(normals))), {k: [k] for k in range(len(normals))}
    for cosine, a, b in sorted(pairs, reverse=True):
        if cosine < SAME_FACE:
            break
        into, other = group_of[a], group_of[b]
        both = members[into] + members[other]
        mean = sizes[both] @ normals[both]
        if into != other and (normals[both] @ mean >= SAME_FACE * np.linalg.norm(mean)).all():
            members[into] = both
            for triangle in members.pop(other):
                group_of[triangle] = into
    return group_of


def _in_order(points: Float[np.ndarray, "point 3"], corners: list[int], normal: Float[np.ndarray, "3"]) -> list[int]:
    """A face's corners counter-clockwise, seen from outside."""
    centred = points[corners] - points[corners].mean(axis=0)
    right = np.cross(normal, [0, 0, 1] if abs(normal[2]) < 0.9 else [1, 0, 0])
    angles = np.arctan2(centred @ np.cross(normal, right), centred @ right)
    return [corners[k] for k in np.argsort(angles)]
