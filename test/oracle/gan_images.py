# SPDX-License-Identifier: Apache-2.0
"""References for models/gan_images.sql: four images of 5 x 5, six hidden units, noise of three numbers an image."""
import oracle
from noise import Noise, normal
from oracle import Param, Spec, scaled, wave

N, SIDE, HIDDEN, LATENT = 4, 5, 6, 3
LABELS = [3, 0, 9, 3]
Z = Noise("z", {"image": "INTEGER", "k": "INTEGER"}, {"x": normal(0, 1)}, [(image, k) for image in range(N) for k in range(LATENT)])
J, I, K, LABEL = ("j", 0, HIDDEN - 1), ("i", 0, HIDDEN - 1), ("k", 0, LATENT - 1), ("label", 0, 9)
R, C = ("r", 0, SIDE - 1), ("c", 0, SIDE - 1)
G = {"g_in": Param([J, K], "w", scaled(0.7, 0.1)), "g_kind": Param([J, LABEL], "w", scaled(0.5, 0.2)),
     "g_mid": Param([I, J], "w", scaled(0.6, 0.3)), "g_mid_bias": Param([I], "b", scaled(0.1, 0.4)),
     "g_out": Param([R, C, I], "w", scaled(0.5, 0.5)), "g_out_bias": Param([R, C], "b", scaled(0.2, 0.6))}
D = {"d_in": Param([J, R, C], "w", scaled(0.4, 0.7)), "d_kind": Param([J, LABEL], "w", scaled(0.5, 0.8)),
     "d_mid": Param([I, J], "w", scaled(0.6, 0.9)), "d_mid_bias": Param([I], "b", scaled(0.1, 1.0)),
     "d_out": Param([I], "w", scaled(0.7, 1.1)), "d_out_bias": Param([], "b", scaled(0.2, 1.2))}


def images():
    return [(image, r, c, 0.5 + 0.5 * wave((image * SIDE + r) * SIDE + c, 0.5))
            for image in range(N) for r in range(SIDE) for c in range(SIDE)]


def losses(torch, p, step):
    f = torch.nn.functional

    def kinds(table):
        return p[table].T[torch.tensor(LABELS)]

    def score(x):
        h = f.leaky_relu(x @ p["d_in"].reshape(HIDDEN, -1).T + kinds("d_kind"), 0.2)
        return f.leaky_relu(h @ p["d_mid"].T + p["d_mid_bias"], 0.2) @ p["d_out"] + p["d_out_bias"]

    real = torch.tensor([row[-1] for row in images()], dtype=torch.float64).reshape(N, -1)
    h = f.leaky_relu(Z.tensor(torch, step, N, LATENT) @ p["g_in"].T + kinds("g_kind"), 0.2)
    h = f.leaky_relu(h @ p["g_mid"].T + p["g_mid_bias"], 0.2)
    made = torch.sigmoid(h @ p["g_out"].reshape(-1, HIDDEN).T + p["g_out_bias"].reshape(-1))
    d_loss = torch.cat([f.softplus(-score(real)), f.softplus(score(made))]).mean()
    return {"d_loss": d_loss, "g_loss": f.softplus(-score(made)).mean()}


RUNS = [("own", [{"--optimizer": "adam(beta1=0.5)", "--lr": "2e-4"}] * 2, 4),
        ("sgd", {"--optimizer": "sgd(momentum=0.9)", "--lr": "0.05"}, 4)]


def spec():
    data = {"samples": ("image INTEGER, r INTEGER, c INTEGER, val REAL", images()),
            "labels": ("image INTEGER, label INTEGER", list(enumerate(LABELS)))}
    return Spec("models/gan_images.sql", "d_loss", data, {**D, **G}, losses, RUNS,
                {"side": SIDE, "hidden": HIDDEN, "latent": LATENT}, goals=[("d_loss", 1, list(D)), ("g_loss", 1, list(G))],
                noise={"z": Z})


if __name__ == "__main__":
    oracle.main("gan_images", "models/gan_images.sql on four images, see gan_images.py")
