import numpy as np
from numpy.lib.stride_tricks import sliding_window_view as swv

def _cols(x, kh, kw, s, p, d, out):
    n, c, h, w = x.shape; oh, ow = out
    th, tw = (oh-1)*s[0]+(kh-1)*d+1, (ow-1)*s[1]+(kw-1)*d+1
    H, W = max(th, h+2*p[0]), max(tw, w+2*p[1])
    xp = np.zeros((n, c, H, W), x.dtype); xp[:, :, p[0]:p[0]+h, p[1]:p[1]+w] = x
    cols = np.empty((n, c, kh, kw, oh, ow), x.dtype)
    for i in range(kh):
        for j in range(kw):
            cols[:, :, i, j] = xp[:, :, i*d:i*d+(oh-1)*s[0]+1:s[0], j*d:j*d+(ow-1)*s[1]+1:s[1]]
    return cols, (H, W)

def conv2d(x, weights, *, stride=(1,1), padding=(0,0), dilation=1, groups=1, out_size=None):
    n, c, h, w = x.shape; f, cg, kh, kw = weights.shape
    out = out_size or tuple((a+2*p-dilation*(k-1)-1)//s+1 for a,p,k,s in zip((h,w),padding,(kh,kw),stride))
    cols,_ = _cols(x, kh, kw, stride, padding, dilation, out)
    cols = cols.reshape(n, groups, cg*kh*kw, -1)
    return np.matmul(weights.reshape(groups, f//groups, -1), cols).reshape(n, f, *out)

def conv2d_backward(dy, x, weights, *, stride=(1,1), padding=(0,0), dilation=1, groups=1, need_dx=True):
    n, c, h, w = x.shape; f, cg, kh, kw = weights.shape; out = dy.shape[2:]
    cols,(H,W) = _cols(x, kh, kw, stride, padding, dilation, out)
    cols = cols.reshape(n, groups, cg*kh*kw, -1); g = dy.reshape(n, groups, f//groups, -1)
    dw = np.matmul(g, cols.swapaxes(2,3)).sum(0).reshape(weights.shape)
    if not need_dx: return None, dw
    dc = np.matmul(weights.reshape(groups, f//groups, -1).swapaxes(1,2), g).reshape(n, c, kh, kw, *out)
    dx = np.zeros((n,c,H,W), x.dtype); d=dilation
    for i in range(kh):
        for j in range(kw):
            dx[:, :, i*d:i*d+(out[0]-1)*stride[0]+1:stride[0], j*d:j*d+(out[1]-1)*stride[1]+1:stride[1]] += dc[:, :, i, j]
    return np.ascontiguousarray(dx[:, :, padding[0]:padding[0]+h, padding[1]:padding[1]+w]), dw

def maxpool2d(x, size, stride, padding, need_index=True):
    n,c,h,w=x.shape; b=padding//2
    oh,ow=(h+padding-size)//stride[0]+1,(w+padding-size)//stride[1]+1
    H,W=max((oh-1)*stride[0]+size,h+b),max((ow-1)*stride[1]+size,w+b)
    xp=np.full((n,c,H,W),-np.inf,x.dtype); xp[:,:,b:b+h,b:b+w]=x
    win=swv(xp,(size,size),axis=(2,3))[:,:,::stride[0],::stride[1]][:,:,:oh,:ow].reshape(n,c,oh,ow,-1)
    i=win.argmax(-1); return np.take_along_axis(win,i[...,None],-1)[...,0], i
def maxpool2d_backward(dy,index,x_shape,size,stride,padding):
    n,c,h,w=x_shape; b=padding//2; oh,ow=dy.shape[2:]
    r=np.arange(oh)[:,None]*stride[0]-b+index//size; q=np.arange(ow)*stride[1]-b+index%size
    dx=np.zeros((n*c,h*w),dy.dtype); np.add.at(dx,(np.repeat(np.arange(n*c),oh*ow),(r*w+q).reshape(-1)),dy.reshape(-1))
    return dx.reshape(x_shape)
def avgpool(x): return x.mean((2,3),dtype=x.dtype)
def avgpool_backward(dy,shape): return np.broadcast_to((dy/dy.dtype.type(shape[2]*shape[3]))[:,:,None,None],shape).copy()
def dense(x,w): return x@w.T
def dense_backward(dy,x,w,need_dx=True): return (dy@w if need_dx else None), dy.T@x
def _ax(x): return (0,2,3) if x.ndim==4 else (0,)
def _b(v,x): return v.reshape(1,-1,1,1) if x.ndim==4 else v
def batchnorm_train(x,scales,biases,eps,outside=False):
    m=x.mean(_ax(x)); M=x.size//len(m); v=((x-_b(m,x))**2).sum(_ax(x))/max(M-1,1)
    inv=(1/(np.sqrt(v)+x.dtype.type(eps)) if outside else 1/np.sqrt(v+x.dtype.type(eps))).astype(x.dtype); xc=x-_b(m,x)
    return _b(scales,x)*(xc*_b(inv,x))+_b(biases,x),(m,v,xc,inv,eps,outside)
def batchnorm_inference(x,scales,biases,m,v,eps,outside=False):
    t=x.dtype.type(eps); inv=(1/(np.sqrt(v)+t) if outside else 1/np.sqrt(v+t)).astype(x.dtype)
    return (x-_b(m,x))*_b(inv*scales,x)+_b(biases,x)
def batchnorm_backward(dy,saved,scales,*,rule):
    m,v,xc,inv,eps,outside=saved; ax=_ax(dy); M=dy.size//len(m)
    ds=(dy*xc*_b(inv,dy)).sum(ax); db=dy.sum(ax); d=dy*_b(scales,dy)
    if rule=="exact":
        # inv'(v)
        dinv=(d*xc).sum(ax); dv=dinv*(-inv**2/(2*np.sqrt(v)) if outside else -.5*inv**3)
        dx=d*_b(inv,dy)+_b(dv*2/max(M-1,1),dy)*xc; return dx-_b(dx.mean(ax),dx),ds,db
    D=1/np.sqrt(v+1e-5) if rule=="pjreddie" else 1/(np.sqrt(v)+1e-5)
    dm=-d.sum(ax)/np.sqrt(v+1e-5); dv=-.5*(d*xc).sum(ax)*(v+1e-5)**-1.5
    return (d*_b(D,d)+_b(dv*2/M,d)*xc+_b(dm/M,d)).astype(dy.dtype),ds,db
def add_bias(x,b): x+=_b(b,x); return x
def bias_gradient(dy): return dy.sum(_ax(dy))
