"""Where public datasets and weights are, and their checksums.  The only internet addresses in the project."""
from dataclasses import dataclass, field

MNIST_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
               "t10k-labels-idx1-ubyte.gz")
KRIZ = ("https://www.cs.toronto.edu/~kriz/",)
COCO_NAMES = """person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,
parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,
frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,
wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,
chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,
toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush""".replace("\n", "")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@dataclass(frozen=True)
class PublicDataset:
    """A dataset that can be downloaded.

    about    what it is and its authors, in one line
    mirrors  addresses to which the name of a file is appended, tried in this order
    files    name -> md5 as published, "" where none is published
    size     of all files together, bytes, approximate
    texts    files to add: name -> content
    """

    about: str
    mirrors: tuple[str, ...]
    files: dict[str, str]
    size: int
    texts: dict[str, str] = field(default_factory=dict)


PUBLIC_DATASETS = {
    "mnist": PublicDataset(
        "60,000 + 10,000 handwritten digits, 28 x 28 grey (LeCun, Cortes, Burges)",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        dict(zip(MNIST_FILES, ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
                               "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"), strict=True)),
        11_594_722),
    "fashion-mnist": PublicDataset(
        "60,000 + 10,000 pieces of clothing, 28 x 28 grey (Xiao, Rasul, Vollgraf 2017; MIT)",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
         "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
        dict(zip(MNIST_FILES, ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
                               "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"), strict=True)),
        30_878_645, {"names.txt": "\n".join(CLOTHES) + "\n"}),
    "cifar10": PublicDataset(
        "50,000 + 10,000 images of ten classes, 32 x 32 colour (Krizhevsky 2009)",
        KRIZ, {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}, 170_052_171),
    "cifar100": PublicDataset(
        "50,000 + 10,000 images of a hundred classes, 32 x 32 colour (Krizhevsky 2009)",
        KRIZ, {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"}, 168_513_733),
    "coco128": PublicDataset(
        "the first 128 images of COCO train2017, with boxes (annotations CC BY 4.0; images: their owners' terms)",
        ("https://github.com/ultralytics/assets/releases/download/v0.0.0/",
         "https://github.com/ultralytics/yolov5/releases/download/v1.0/"),
        {"coco128.zip": ""}, 7_000_000,
        {"coco128.yaml": "# 128 images for first experiments; train and val are the same, so metrics say little\n"
                         f"train: images/train2017\nval: images/train2017\nnames: [{COCO_NAMES}]\n"}),
}


@dataclass(frozen=True)
class PublishedWeights:
    """Weights of a network in cfg/ that can be downloaded.

    about    what the network does, in one line
    licence  under which they are published
    mirrors  addresses to which the name of the file is appended, tried in this order
    file     its name there; here it is called as the cfg
    sha256   of the file that this program was tested with
    size     bytes
    """

    about: str
    licence: str
    mirrors: tuple[str, ...]
    file: str
    sha256: str
    size: int


# name of the cfg -> its weights
PUBLISHED_WEIGHTS = {
    "yolov3-tiny": PublishedWeights(
        "detects the 80 classes of COCO (Redmon, Farhadi 2018)", "public domain (YOLO licence)",
        ("https://pjreddie.com/media/files/",), "yolov3-tiny.weights",
        "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c", 35_434_956),
    "yolo-fastest": PublishedWeights(
        "YOLO-Fastest 1.1, detects the 80 classes of COCO (dog-qiuqiu 2021)", "public domain (YOLO licence)",
        ("https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/99d03d0f26e2555275bdb30f43479d47cc19311f/ModelZoo/"
         "yolo-fastest-1.1_coco/",), "yolo-fastest-1.1.weights",
        "1c445c42bbd6df63edea2cc69f99667b5650d663ca11e34b116240740cd42890", 1_384_268),
}
